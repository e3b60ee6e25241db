"""The app is destroyed before any call of the log, Docker, nginx or the blobs: nothing of it runs or is to be done."""

import pytest

import configsvc.answers
import configsvc.ports
from services import database
from services.keyring import Keyring
from services.memorylog import MemoryLog
from services.platform import assemble
from tests.contract.crashworld import APP, CAUSE, Fuse, Process, World

PROCFILES = {"deployed": "web: serve\n", "not built": "web serve\n", "not up": "web: exit\n"}


class Destroyer(Fuse):
    """Lets another process destroy the app before the `at`th call; `now`: for good."""

    def __init__(self, world, now):
        super().__init__(0)
        self.world, self.now, self.done = world, now, False

    def burn(self):
        self.calls += 1
        if self.calls == self.at:
            platform = assemble(self.world.settings, self.world.log, Keyring(self.world.keys, bytes(32)), "another")
            configsvc.answers.destroy_app(configsvc.ports.build(platform), "hello", dict(CAUSE), self.now)
            self.done = True


@pytest.fixture
def key_database(tmp_path):
    """The keyring's database."""
    engine = database.connect(f"sqlite:///{tmp_path / 'keys.sqlite'}")
    yield engine
    engine.dispose()


@pytest.mark.parametrize("now", [False, True], ids=["for a while", "for good"])
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("procfile", PROCFILES.values(), ids=PROCFILES.keys())
def test_an_app_destroyed_at_any_moment_runs_no_more_and_leaves_nothing_to_do(
    tmp_path, key_database, procfile, refused, now
):
    at, done = 0, True
    while done:
        at += 1
        home = tmp_path / str(at)
        home.mkdir()
        world = World(home, MemoryLog(), key_database)
        first = Process(world, Fuse(0))
        first.create()
        first.platform.keyring.seal(APP, "A", "x")
        first.push(1, "web: serve\n")
        first.run()
        world.nginx.refuses = {2} if refused else set()
        done = push_and_destroy(world, at, procfile, now)
        last = Process(world, Fuse(0))
        last.run()
        if done:
            assert world.containers.boxes == {}, f"destroyed at call {at}"
            assert world.nginx.routes == {}
            assert (home / "logs" / APP).exists() == (not now)
            assert last.platform.keyring.apps() == (set() if now else {APP})
        world.close()
    assert at > 10


def push_and_destroy(world, at, procfile, now):
    """Push, and destroy the app at the call `at` of what follows; returns whether there was such a call."""
    fuse = Destroyer(world, now)
    process = Process(world, fuse)
    process.push(2, procfile)
    fuse.at, fuse.calls = at, 0
    process.run()
    return fuse.done
