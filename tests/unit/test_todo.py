"""What is still to do, as a fold."""

from services.events import (
    AppDestroyed,
    AppRestored,
    AppShredded,
    BuildFailed,
    BuildSucceeded,
    DeployFailed,
    DeploySucceeded,
    PushReceived,
    ReleaseCreated,
    RoutePublished,
)
from services.todo import Pending
from tests.unit.story import APP, OTHER, Story, release, slot


def test_a_push_is_pending_until_its_build_has_an_outcome():
    pending = Pending(PushReceived, (BuildSucceeded, BuildFailed))
    story = Story(pending)
    push = story.push()
    assert pending.heads() == [push]
    story.built(push)
    assert pending.heads() == []


def test_only_the_oldest_item_of_each_app_is_up_next():
    pending = Pending(PushReceived, (BuildSucceeded, BuildFailed))
    story = Story(pending)
    first, _, other = story.push(), story.push(), story.push(OTHER)
    assert pending.heads() == [first, other]


def test_an_outcome_of_one_push_leaves_the_others_pending():
    pending = Pending(PushReceived, (BuildSucceeded, BuildFailed))
    story = Story(pending)
    first, second = story.push(), story.push()
    story.after(first, BuildFailed(app=APP, attempt=1, reason="no", output=None))
    assert pending.heads() == [second]


def test_what_is_not_asked_for_is_never_pending():
    pending = Pending(ReleaseCreated, (DeploySucceeded,), when=lambda data: data.deploy)
    story = Story(pending)
    story.record(release(deploy=False))
    assert pending.heads() == []


def test_the_next_release_waits_until_the_one_before_is_routed_or_failed():
    pending = Pending(ReleaseCreated, (DeploySucceeded, DeployFailed), settled=(RoutePublished, DeployFailed))
    story = Story(pending)
    first, second = story.record(release(1)), story.record(release(2))
    deployed = story.after(first, DeploySucceeded(app=APP, release=1, attempt=1, slots=[slot()]))
    assert pending.heads() == []
    story.after(deployed, RoutePublished(app=APP, release=1, attempt=1, hosts=[], upstreams=[], replaces=None, push=""))
    assert pending.heads() == [second]


def test_a_failed_deploy_lets_the_next_release_begin():
    pending = Pending(ReleaseCreated, (DeploySucceeded, DeployFailed), settled=(RoutePublished, DeployFailed))
    story = Story(pending)
    first, second = story.record(release(1)), story.record(release(2))
    story.after(first, DeployFailed(app=APP, release=1, attempt=1, reason="no", output=None))
    assert pending.heads() == [second]


def test_a_destroyed_app_leaves_nothing_to_do():
    pending = Pending(PushReceived, (BuildSucceeded,))
    story = Story(pending)
    story.push()
    kept = story.push(OTHER)
    story.record(AppDestroyed(app=APP, name="hello"))
    assert pending.heads() == [kept]


def test_what_is_recorded_for_an_app_after_its_end_is_not_to_be_done():
    pending = Pending(BuildSucceeded, (ReleaseCreated,))
    story = Story(pending)
    push = story.push()
    story.record(AppDestroyed(app=APP, name="hello"))
    story.built(push)
    assert pending.heads() == []


def test_a_hop_that_mends_sees_the_end_of_an_app():
    pending = Pending(AppDestroyed, ())
    story = Story(pending)
    destroyed = story.record(AppDestroyed(app=APP, name="hello"))
    assert pending.heads() == [destroyed]


def test_what_a_destroyed_app_left_is_to_be_done_once_it_is_restored():
    pending = Pending(BuildSucceeded, (ReleaseCreated,))
    story = Story(pending)
    first = story.built(story.push())
    push = story.push()
    story.record(AppDestroyed(app=APP, name="hello"))
    second = story.built(push)
    assert pending.items == {}
    story.record(AppRestored(app=APP, name="hello"))
    assert list(pending.items.values()) == [first, second]


def test_what_ended_while_its_app_was_gone_is_not_to_be_done_after():
    pending = Pending(PushReceived, (BuildSucceeded,))
    story = Story(pending)
    push = story.push()
    story.record(AppDestroyed(app=APP, name="hello"))
    story.built(push)
    story.record(AppRestored(app=APP, name="hello"))
    assert pending.items == {}


def test_a_shredded_app_leaves_nothing_to_do_but_its_shredding():
    pending, shredding = Pending(PushReceived, (BuildSucceeded,)), Pending(AppShredded, ())
    story = Story(pending)
    story.projections.add(shredding, "shredding")
    story.push()
    story.record(AppDestroyed(app=APP, name="hello"))
    shredded = story.record(AppShredded(app=APP, name="hello"))
    story.push()
    assert pending.heads() == []
    assert shredding.heads() == [shredded]


def test_the_end_of_an_app_that_is_restored_is_not_to_be_mended_after():
    pending = Pending(AppDestroyed, ())
    story = Story(pending)
    story.record(AppDestroyed(app=APP, name="hello"))
    story.record(AppRestored(app=APP, name="hello"))
    assert pending.heads() == []
