"""The router's hop on a real nginx: an app that keeps silent delays no other, and what fails is put back."""

from concurrent.futures import ThreadPoolExecutor

from router.nginx import Nginx
from router.on_deploy_succeeded import on_deploy_succeeded
from router.ports import Ports
from router.state import State
from services.errors import Refused
from services.events import DeploySucceeded, RoutePublished, RouteRejected
from tests.real.web import get
from tests.unit.story import APP, OTHER, Story, release

HOSTS = {APP: "hello.localhost", OTHER: "other.localhost"}


class Router(Story):
    """The router's ports over a log in memory, and where each app's newest release answers."""

    def __init__(self, nginx):
        self.state = State()
        super().__init__(self.state)
        self.ports = Ports(self.log, self.projections, self.state, nginx)
        self.answers = {}
        for app, name in ((APP, "hello"), (OTHER, "other")):
            self.app(app, name)

    def deployed(self, app, number, address):
        """Record that a release is up at `address`."""
        self.answers[app, number] = [address]
        self.record(release(number, app=app, domains=[HOSTS[app]]))
        return self.record(DeploySucceeded(app=app, release=number, attempt=1, slots=[]))

    def route(self, deploy):
        """Do the hop; returns its outcome."""
        on_deploy_succeeded(deploy, self.ports, lambda service, method, app, release: self.answers[app, release])
        self.projections.catch_up()
        return next(event.data for event in self.log.read(0) if event.causationid == deploy.id)


def test_an_app_that_keeps_silent_delays_neither_the_routes_of_others_nor_mending(nginx, router_settings, web_app):
    router, silent = Router(nginx), web_app("silent", slow=True)
    deploy = router.deployed(APP, 1, silent.address)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(router.route, deploy)
        assert silent.entered.wait(10)
        assert isinstance(router.route(router.deployed(OTHER, 1, web_app("other").address)), RoutePublished)
        router.ports.mend()
        assert get(router_settings.http_port, HOSTS[OTHER]).app == "other"
        assert not waiting.done()
        silent.release.set()
        assert isinstance(waiting.result(10), RoutePublished)
    assert get(router_settings.http_port, HOSTS[APP]).app == "silent"
    assert router.ports.trying == {}


def test_an_app_that_never_answers_is_rejected_and_what_served_serves(nginx, router_settings, web_app):
    hasty = Nginx(router_settings.model_copy(update={"check_timeout": 0.2}))
    router, port = Router(hasty), router_settings.http_port
    assert isinstance(router.route(router.deployed(APP, 1, web_app("old").address)), RoutePublished)
    rejected = router.route(router.deployed(APP, 2, web_app("silent", slow=True).address))
    assert isinstance(rejected, RouteRejected)
    assert rejected.reason == f"{HOSTS[APP]}: nothing answered through nginx"
    assert get(port, HOSTS[APP]).app == "old"
    before = nginx.status()
    router.ports.mend()
    assert nginx.status() == before, "it is put back when the rejection is recorded"


def test_a_deploy_whose_containers_are_gone_is_rejected_without_asking_nginx(nginx, web_app):
    router = Router(nginx)
    before = nginx.status()
    deploy = router.deployed(APP, 1, "127.0.0.1:1")

    def refuse(service, method, app, release):
        raise Refused("hello web.1 does not run at 10.0.0.1")

    on_deploy_succeeded(deploy, router.ports, refuse)
    assert router.log.read(0)[-1].data.reason == "hello web.1 does not run at 10.0.0.1"
    assert nginx.status() == before
