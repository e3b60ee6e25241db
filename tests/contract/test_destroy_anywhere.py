"""The app is destroyed before any call of the log, Docker, nginx or the blobs: nothing of it runs or is to be done.

Once that is undone it serves what was pushed last, as if nothing had been.
"""

from datetime import UTC, datetime, timedelta

import pytest

import configsvc.answers
import configsvc.ports
from configsvc.shredding import shred_due
from deployer.on_app_destroyed import on_app_destroyed
from services.keyring import Keyring
from services.memorylog import MemoryLog
from services.platform import assemble
from tests.contract.crashworld import APP, CAUSE, Crash, Fuse, Process, World, commit

GOOD = "web: serve\n"
BAD = ("web serve\n", "web: exit\n")
"""One that is not built, and one that does not come up."""


class Destroyer(Fuse):
    """Lets other processes destroy the app, with its containers, before the `at`th call; `now`: for good."""

    def __init__(self, world, now):
        super().__init__(0)
        self.world, self.now, self.done = world, now, False

    def burn(self):
        self.calls += 1
        if self.calls == self.at:
            another = Process(self.world, Fuse(0), alone=False)
            configsvc.answers.destroy_app(another.configsvc, "hello", dict(CAUSE), self.now)
            on_app_destroyed(end(self.world), another.deployer)
            self.done = True


@pytest.mark.parametrize(
    ("procfile", "refused", "now"),
    [
        *((procfile, refused, False) for procfile in (GOOD, *BAD) for refused in (False, True)),
        (GOOD, False, True),
    ],
)
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


@pytest.mark.parametrize(
    ("procfile", "refused"),
    [(GOOD, False), (GOOD, True), *((bad, False) for bad in BAD)],
)
def test_an_app_destroyed_at_any_moment_serves_again_once_that_is_undone(tmp_path, key_database, procfile, refused):
    at, done = 0, True
    while done:
        at += 1
        home = tmp_path / str(at)
        home.mkdir()
        world = World(home, MemoryLog(), key_database)
        first = Process(world, Fuse(0))
        first.create()
        first.push(1, "web: serve\n")
        first.run()
        world.nginx.refuses = {2} if refused else set()
        done = push_and_destroy(world, at, procfile, False)
        if done:
            Process(world, Fuse(0)).run()
            undo(world)
            Process(world, Fuse(0)).run()
            refuses = any(release.number in world.nginx.refuses for release in releases(world, 2))
            serves(world, at, 2 if procfile == GOOD and not refuses else 1)
        world.close()
    assert at > 10


@pytest.mark.parametrize("process", ["web", "worker"])
def test_a_first_release_that_was_under_way_serves_once_that_is_undone(tmp_path, key_database, process):
    at, done = 0, True
    while done:
        at += 1
        home = tmp_path / str(at)
        home.mkdir()
        world = World(home, MemoryLog(), key_database)
        first = Process(world, Fuse(0))
        first.create()
        configsvc.answers.scale(first.configsvc, "hello", {process: 1}, True, dict(CAUSE, correlationid="scale"))
        done = push_and_destroy(world, at, f"{process}: serve\n", False)
        if done:
            Process(world, Fuse(0)).run()
            undo(world)
            last = Process(world, Fuse(0))
            last.run()
            app = last.deployer.state.apps[APP]
            assert app.current, f"destroyed at call {at}"
            assert [box.listener is not None for box in world.containers.boxes.values()] == [True]
        world.close()
    assert at > 10


def test_an_undo_of_the_end_while_that_is_under_way_serves_again_too(tmp_path, key_database):
    at, done = 0, True
    while done:
        at += 1
        home = tmp_path / str(at)
        home.mkdir()
        world = World(home, MemoryLog(), key_database)
        first = Process(world, Fuse(0))
        first.create()
        first.push(1, "web: serve\n")
        first.run()
        fuse = Wavering(world)
        process = Process(world, fuse)
        process.push(2, GOOD)
        fuse.at, fuse.calls = at, 0
        process.run()
        fuse.undo()
        done = fuse.done
        if done:
            Process(world, Fuse(0)).run()
            serves(world, at, 2)
        world.close()
    assert at > 10


def test_a_process_that_dies_at_any_moment_of_shredding_leaves_it_to_the_next(tmp_path, key_database):
    at, died = 0, True
    while died:
        at += 1
        home = tmp_path / str(at)
        home.mkdir()
        world = World(home, MemoryLog(), key_database)
        first = Process(world, Fuse(0))
        first.create()
        first.platform.keyring.seal(APP, "A", "x")
        first.push(1, GOOD)
        first.run()
        configsvc.answers.destroy_app(first.configsvc, "hello", dict(CAUSE))
        Process(world, Fuse(0)).run()
        died = dies(Process(world, Fuse(at)))
        assert not dies(Process(world, Fuse(0)))
        assert [event.type for event in world.recorded()].count("app.shredded") == 1, f"died at call {at}"
        assert first.platform.keyring.apps() == set()
        assert not (home / "logs" / APP).exists()
        world.close()
    assert at > 5


def dies(process):
    """Shred what is over its grace, and mend the world, in a process that may die; returns whether it did."""
    try:
        process.start()
        process.platform.projections.catch_up()
        shred_due(process.configsvc, datetime.now(UTC) + timedelta(days=2))
        process.mend()
    except Crash:
        return True
    return False


class Wavering(Destroyer):
    """Lets another process destroy the app before the `at`th call, and take that back before the next."""

    def __init__(self, world):
        super().__init__(world, False)
        self.undone = False

    def burn(self):
        super().burn()
        if self.done and self.calls == self.at + 1:
            self.undo()

    def undo(self):
        """Take it back, if that is to be done still."""
        if self.done and not self.undone:
            self.undone = True
            undo(self.world)


def end(world):
    """The event that destroyed the app last."""
    return next(event for event in reversed(world.recorded()) if event.type == "app.destroyed")


def undo(world):
    """Have the destroyed app back."""
    platform = assemble(world.settings, world.log, Keyring(world.keys, bytes(32)), "another")
    configsvc.answers.undo(configsvc.ports.build(platform), end(world).position, dict(CAUSE))


def releases(world, number):
    """The releases of the commit `number`."""
    found = [event.data for event in world.recorded() if event.type == "release.created"]
    return [release for release in found if release.commit == commit(number)]


def serves(world, at, number):
    """Check that the app serves the commit `number`, alone, and that nothing of it is left half done."""
    state = configsvc.ports.build(assemble(world.settings, world.log, Keyring(world.keys, bytes(32)), "a reader"))
    state.projections.catch_up()
    app = state.state.apps[APP]
    assert app.current, f"destroyed at call {at}"
    assert app.current.data.commit == commit(number), f"destroyed at call {at}"
    assert "pending" not in [release.status for release in app.releases.values()], f"destroyed at call {at}"
    assert world.nginx.routes["hello"].release == app.current.data.number
    (box,) = world.containers.boxes.values()
    assert (box.spec.address, box.listener is not None) == (world.nginx.routes["hello"].upstreams[0][:-5], True)
