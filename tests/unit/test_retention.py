"""Which images are kept, and which are surplus, as the log tells."""

import pytest

from builder.state import State
from gitreceiver.backup.wanted import Wanted
from services.events import (
    AppDestroyed,
    AppShredded,
    DeployFailed,
    ImageRestored,
    ReleaseRefused,
    RoutePublished,
    work_stream,
)
from tests.unit.story import APP, COMMIT, IMAGE, OTHER, Story, release


def image(number):
    """The id of a made-up image."""
    return f"sha256:{number:064d}"


class Builds(Story):
    """A log of an app's pushes and releases, and what the builder makes of it."""

    def __init__(self):
        self.state = State()
        super().__init__(self.state)
        self.app()
        self.number = 0

    def build(self, number):
        """An image, and no release of it yet."""
        self.built(self.push(new=f"{number:040d}"), image(number))

    def release(self, number, deploy=True):
        """The next release, of the image `number`."""
        self.number += 1
        return self.record(release(self.number, image=image(number), deploy=deploy))

    def routed(self, released):
        """Have a release serve."""
        where = {"hosts": [], "upstreams": [], "replaces": None, "push": ""}
        route = RoutePublished(app=APP, release=released.data.number, attempt=1, **where)
        self.record(route, stream=work_stream(released.id))

    def serve(self, number):
        """Build an image and have it serve."""
        self.build(number)
        self.routed(self.release(number))

    @property
    def surplus(self):
        return self.state.apps[APP].surplus()


@pytest.fixture
def builds():
    return Builds()


def test_images_of_the_current_and_of_the_last_five_releases_are_kept(builds):
    for number in range(1, 9):
        builds.serve(number)
    assert builds.surplus == {image(1), image(2)}


def test_a_release_of_settings_is_one_of_the_five(builds):
    builds.serve(1)
    builds.serve(2)
    for _ in range(5):
        builds.routed(builds.release(2))
    assert builds.surplus == {image(1)}


def test_an_image_that_was_gone_back_to_is_kept(builds):
    for number in range(1, 8):
        builds.serve(number)
    builds.routed(builds.release(1))
    assert builds.surplus == {image(2)}


def test_images_of_releases_to_come_are_kept_and_so_is_one_without_a_release_yet(builds):
    for number in range(1, 7):
        builds.serve(number)
    builds.build(7)
    builds.release(7)
    builds.release(7, deploy=False)
    builds.build(8)
    assert builds.surplus == set()


def test_an_image_of_a_failed_release_is_surplus_and_so_is_one_that_no_release_was_made_of(builds):
    builds.serve(1)
    builds.build(2)
    failed = builds.release(2)
    gone = DeployFailed(app=APP, release=failed.data.number, attempt=1, reason="no", output=None)
    builds.record(gone, stream=work_stream(failed.id))
    push = builds.push(new=COMMIT)
    builds.after(push, builds.built(push, image(3)).data)
    builds.after(push, ReleaseRefused(app=APP, reason="no"))
    assert builds.surplus == {image(2), image(3)}


def test_an_image_that_was_made_again_is_known_by_what_it_is_here(builds):
    builds.serve(1)
    push = next(event for event in builds.log.read() if event.type == "push.received")
    builds.after(push, ImageRestored(app=APP, image=image(1), restored=image(101), stack=IMAGE))
    assert builds.surplus == set()
    for number in range(2, 9):
        builds.serve(number)
    assert builds.surplus == {image(101), image(2)}


def test_a_backup_takes_the_trees_of_the_releases_whose_images_are_kept(builds):
    for number in range(1, 9):
        builds.build(number)
        released = builds.release(number)
        if number in (4, 5, 7):
            failed = DeployFailed(app=APP, release=released.data.number, attempt=1, reason="no", output=None)
            builds.record(failed, stream=work_stream(released.id))
        else:
            builds.routed(released)
    wanted = Wanted()
    for event in builds.log.read():
        wanted.evolve(event)
    kept = {image(number) for number in (1, 2, 3, 6, 8)}
    assert wanted.apps[APP].kept() == kept == builds.state.apps[APP].images.keys() - builds.surplus


def test_what_a_shredded_app_left_of_blobs_is_nobodys_unless_another_app_has_the_same(builds):
    builds.build(1)
    own = builds.state.apps[APP].blobs()
    assert own
    builds.record(AppDestroyed(app=APP, name="hello"))
    assert builds.state.leftovers() == set()
    builds.record(AppShredded(app=APP, name="hello"))
    assert builds.state.leftovers() == own
    builds.app(OTHER, "other")
    assert builds.push(OTHER).data.source in own
    assert builds.state.leftovers() == set()
