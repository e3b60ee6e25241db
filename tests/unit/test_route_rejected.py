"""What becomes of a candidate whose route was rejected."""

from types import SimpleNamespace

from deployer.on_route_rejected import on_route_rejected
from deployer.state import State
from services.events import DeployFailed, DeployStarted, RouteRejected
from tests.unit.story import APP, Story, release, slot


def test_a_slow_deployer_leaves_the_candidate_of_the_next_release_alone():
    state = State()
    story = Story(state)
    story.app()
    first, second = story.record(release(1)), story.record(release(2))
    story.after(first, DeployStarted(app=APP, release=1, attempt=1, slots=[slot(1)]))
    rejected = story.after(first, RouteRejected(app=APP, release=1, attempt=1, reason="no"))
    story.after(rejected, DeployFailed(app=APP, release=1, attempt=1, reason="no", output=None))
    story.after(second, DeployStarted(app=APP, release=2, attempt=1, slots=[slot(2)]))
    head = story.log.head()
    on_route_rejected(rejected, SimpleNamespace(state=state, log=story.log))  # no containers: it must not ask for any
    assert story.log.head() == head
