"""Mending beside another process that deploys."""

from types import SimpleNamespace

from deployer import mend
from deployer.containers import Found
from deployer.state import State
from services.events import DeployStarted, DeploySucceeded, RoutePublished
from services.settings import Settings
from tests.unit.story import APP, Story, release, slot

LABELS = {"pushlog.release": "1"}


class Docker:
    """Containers that are listed, and what is asked of them."""

    def __init__(self):
        self.there, self.asked, self.listings = [], [], 0

    def list(self, app=None):
        self.listings += 1
        return list(self.there)

    def __getattr__(self, name):
        return lambda *args: self.asked.append((name, *args))


def container(made, name="hello.web.1"):
    return Found("id", name, "running", (made.made_by, made.attempt, "web", made.number), APP, LABELS, made.address)


class Scene(Story):
    """An app that is deployed, and a process that mends."""

    def __init__(self):
        self.state, self.docker = State(), Docker()
        super().__init__(self.state)
        self.app()
        self.created = self.record(release())
        archive = SimpleNamespace(keep=lambda *printed: None, keep_only=lambda apps: None)
        self.ports = SimpleNamespace(
            settings=Settings(),
            projections=self.projections,
            state=self.state,
            containers=self.docker,
            archive=archive,
        )

    def slot(self, attempt):
        return slot(made_by=self.created.id, attempt=attempt)

    def claimed(self, attempt):
        """Record a claim."""
        self.after(self.created, DeployStarted(app=APP, release=1, attempt=attempt, slots=[self.slot(attempt)]))

    def routed(self, attempt):
        """Record that what was claimed serves."""
        self.after(self.created, DeploySucceeded(app=APP, release=1, attempt=attempt, slots=[self.slot(attempt)]))
        where = {"hosts": [], "upstreams": [], "replaces": None, "push": ""}
        self.record(RoutePublished(app=APP, release=1, attempt=attempt, **where))

    def mend(self):
        mend.everything(self.ports, mend.Pauses({}))
        return [ask[0] for ask in self.docker.asked]


def test_a_candidate_of_another_process_is_no_stray():
    scene = Scene()
    scene.claimed(1)
    scene.docker.there = [container(scene.slot(1))]
    assert scene.mend() == []


def test_what_an_older_attempt_left_goes():
    scene = Scene()
    scene.claimed(1)
    scene.claimed(2)
    scene.docker.there = [container(scene.slot(1))]
    assert scene.mend() == ["logs", "remove"]


def test_what_came_up_and_was_routed_after_the_containers_were_listed_is_not_made_again():
    scene = Scene()
    scene.claimed(1)
    listed = scene.docker.list

    def list_once(app=None):
        found = listed(app)
        if not scene.docker.there:  # Docker answered; then all this happens
            scene.docker.there = [container(scene.slot(1))]
            scene.routed(1)
        return found

    scene.docker.list = list_once
    assert scene.mend() == ["serve"]


def test_containers_are_listed_once_for_all_apps_when_nothing_is_missing():
    scene = Scene()
    scene.claimed(1)
    scene.routed(1)
    scene.docker.there = [container(scene.slot(1))]
    assert scene.mend() == ["serve"]
    assert scene.docker.listings == 1
