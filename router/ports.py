"""What the router's handlers are given."""

import threading
from dataclasses import dataclass, field

from router.nginx import Nginx
from router.render import AppRoute
from router.state import State
from services.eventlog import EventLog
from services.events import RoutePublished
from services.platform import Platform
from services.projections import Projections


@dataclass(frozen=True)
class Ports:
    """`turn` lets one change of nginx happen at a time, with the log's routes as they are by then."""

    log: EventLog
    projections: Projections
    state: State
    nginx: Nginx
    turn: threading.Lock = field(default_factory=threading.Lock)

    def routes(self) -> dict[str, AppRoute]:
        """Every published route that has hosts, by the app's uuid."""
        self.projections.catch_up()
        return {
            app.id: app_route(app.name, app.route)
            for app in self.state.apps.values()
            if app.route is not None and app.route.hosts
        }


def app_route(name: str, route: RoutePublished) -> AppRoute:
    """What nginx is to do for an app."""
    return AppRoute(name, route.release, route.attempt, tuple(route.hosts), tuple(route.upstreams))


def build(platform: Platform) -> Ports:
    """The ports of this process."""
    state = State()
    platform.projections.add(state)
    return Ports(platform.log, platform.projections, state, Nginx(platform.settings))
