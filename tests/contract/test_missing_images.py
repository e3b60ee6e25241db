"""An image that Docker has lost is made again; one that cannot be built is called lost only after some patience."""

import shutil
from collections import Counter

import pytest

from builder import images
from services import database
from services.events import ImageLost, ImageRestored
from services.memorylog import MemoryLog
from tests.contract.crashworld import Fuse, Process, World
from tests.unit.trees import write_tar


@pytest.fixture
def process(tmp_path):
    """A process whose app serves, on a Docker that has none of its images any more."""
    keys = database.connect(f"sqlite:///{tmp_path / 'keys.sqlite'}")
    world = World(tmp_path, MemoryLog(), keys)
    process = Process(world, Fuse(0))
    process.create()
    process.push(1, "web: serve\n")
    process.run()
    world.docker.api.images_made.clear()
    yield process
    world.close()
    keys.dispose()


def told(process):
    """What was recorded of images."""
    return [e.data for e in process.world.recorded() if isinstance(e.data, ImageLost | ImageRestored)]


def test_a_missing_image_is_made_again_once(process):
    images.restore(process.builder, process.call, lambda: True, Counter())
    assert list(process.world.sources.there()) == []
    [restored] = told(process)
    app = next(iter(process.builder.state.apps.values()))
    assert isinstance(restored, ImageRestored)
    assert app.here(restored.image) == restored.restored


def test_an_image_whose_build_fails_is_lost_only_after_three_tries(process):
    app = next(iter(process.builder.state.apps.values()))
    [build] = app.needed().values()
    refused = Counter()

    def call(service, method, *, app, push, **rest):
        write_tar(process.world.sources.path(app, push), {"Procfile": "no procfile", ".null": ""})
        return True

    for _ in range(images.REFUSALS - 1):
        images.restore(process.builder, call, lambda: True, refused)
        assert told(process) == []
    images.restore(process.builder, call, lambda: True, refused)
    [lost] = told(process)
    assert (lost.image, "Procfile" in lost.reason) == (build.image, True)
    images.restore(process.builder, call, lambda: True, refused)
    assert len(told(process)) == 1
    assert list(process.world.sources.there()) == []


def test_an_image_whose_commit_is_gone_is_lost_at_once(process):
    shutil.rmtree(process.world.settings.home / "repositories")
    images.restore(process.builder, process.call, lambda: True, Counter())
    [lost] = told(process)
    assert "push it again" in lost.reason
