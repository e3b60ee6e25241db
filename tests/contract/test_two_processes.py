"""Two processes of every service over one log: one ends, sleeps or is slow at any call, and the other goes on."""

from contextlib import closing

import pytest

from services import database
from services.events import BuildSucceeded
from services.memorylog import MemoryLog
from tests.contract.crashworld import Crash, Fuse, Paused, Process, World
from tests.contract.test_crash_anywhere import GOOD, SCENARIOS, check_outcomes, check_world

NAMES = ("deployed", "not built", "not up", "not routed")


@pytest.fixture
def new_world(tmp_path):
    """Makes worlds, each with an app whose first push serves."""
    keys = database.connect(f"sqlite:///{tmp_path / 'keys.sqlite'}")
    count = 0

    def make():
        nonlocal count
        count += 1
        home = tmp_path / str(count)
        home.mkdir()
        world = World(home, MemoryLog(), keys)
        process = Process(world, Fuse(0))
        process.create()
        process.push(1, GOOD)
        process.run()
        return closing(world)

    yield make
    keys.dispose()


def begin(world, scenario, fuse):
    """A process that is about to take up a second push, and how many events there were before that."""
    procfile, refused, _ = SCENARIOS[scenario]
    world.nginx.refuses = {2} if refused else set()
    before = len(world.recorded())
    process = Process(world, fuse, alone=False)
    process.push(2, procfile)
    return process, before


def check(world, scenario, before, when):
    outcomes = SCENARIOS[scenario][2]
    check_outcomes(world, before, outcomes, when)
    check_world(world, serving=2 if "ref.moved" in outcomes else 1)


@pytest.mark.parametrize("scenario", NAMES)
def test_wherever_one_of_two_is_killed_the_other_one_finishes(new_world, scenario):
    at, crashed = 0, True
    while crashed:
        at += 3
        with new_world() as world:
            fuse = Fuse(0)
            first, before = begin(world, scenario, fuse)
            survivor = Process(world, Fuse(0), alone=False)
            fuse.at, fuse.calls = at, 0
            try:
                first.run()
                crashed = False
            except Crash:
                survivor.run()
            check(world, scenario, before, f"killed at call {at}")
    assert at > 10


def paused(world, scenario, at, meanwhile):
    """Have one process stand still at its `at`th call while the other one does `meanwhile`; whether there was one."""
    fuse = Paused(lambda: None)
    first, before = begin(world, scenario, fuse)
    other = Process(world, Fuse(0), alone=False)
    fuse.meanwhile = lambda: meanwhile(other)
    fuse.at, fuse.calls = at, 0
    first.run()
    check(world, scenario, before, f"paused at call {at}")
    named = {event.data.image for event in world.recorded() if isinstance(event.data, BuildSucceeded)}
    assert world.docker.api.images_made == named, f"paused at call {at}"
    return fuse.calls >= at


@pytest.mark.parametrize("scenario", NAMES)
def test_who_slept_through_its_lease_records_nothing_and_leaves_nothing(new_world, scenario):
    at, reached = 0, True
    while reached:
        at += 1
        with new_world() as world:
            reached = paused(world, scenario, at, Process.run)
    assert at > 10


def work_beside(process):
    """Do all that may be done while the other one lives."""
    process.start()
    while process.step():
        pass


@pytest.mark.parametrize("scenario", NAMES)
def test_who_is_slow_and_lives_is_not_disturbed(new_world, scenario):
    at, reached = 0, True
    while reached:
        at += 3
        with new_world() as world:
            reached = paused(world, scenario, at, work_beside)
            types = [event.type for event in world.recorded()]
            assert types.count("build.started") == 2, f"slow at call {at}"
            assert types.count("deploy.started") == types.count("release.created"), f"slow at call {at}"
    assert at > 10
