"""The process ends at any call of the log, Docker, nginx or the blobs, and another begins: never half, never twice."""

from collections import Counter
from contextlib import ExitStack, contextmanager
from operator import attrgetter

import pytest

from services import database
from services.blobs import Blobs
from services.claims import MAX_ATTEMPTS
from services.errors import Unavailable
from services.eventlog import SqlLog
from services.events import RefMoved
from services.memorylog import MemoryLog
from tests.contract.crashworld import Crash, Fuse, Process, World, commit, crash

GOOD, DIES, UNREADABLE = "web: serve\n", "web: exit\n", "web serve\n"
SUCCESS = ("build.succeeded", "release.created", "deploy.succeeded", "route.published", "ref.moved")
SCENARIOS = {
    "deployed": (GOOD, False, (*SUCCESS, "release.retired")),
    "not built": (UNREADABLE, False, ("build.failed",)),
    "not up": (DIES, False, ("build.succeeded", "release.created", "deploy.failed")),
    "not routed": (GOOD, True, (*SUCCESS[:3], "route.rejected", "deploy.failed")),
}
"""What the second push of an app holds, whether nginx refuses it, and what is recorded of it, each once."""


@pytest.fixture(params=["memory", "sql"])
def new_world(request, tmp_path):
    """Makes worlds, each with an app whose first push serves. `step`: with SQLite, not every call is crashed at."""
    keys = database.connect(f"sqlite:///{tmp_path / 'keys.sqlite'}")
    count = 0

    @contextmanager
    def make():
        nonlocal count
        count += 1
        home = tmp_path / str(count)
        home.mkdir()
        with ExitStack() as stack:
            log = MemoryLog()
            if request.param == "sql":
                engine = database.connect(f"sqlite:///{home / 'log.sqlite'}")
                stack.callback(engine.dispose)
                log = SqlLog(engine)
            world = World(home, log, keys)
            stack.callback(world.close)
            process = Process(world, Fuse(0))
            process.create()
            process.push(1, GOOD)
            process.run()
            yield world

    make.step = 1 if request.param == "memory" else 5
    yield make
    keys.dispose()


def finish(world: World) -> None:
    """Start once more and let everything come to its end."""
    Process(world, Fuse(0)).run()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_wherever_the_process_ends_the_next_one_brings_a_push_to_its_one_outcome(new_world, scenario):
    procfile, refused, outcomes = SCENARIOS[scenario]
    at, crashed = 1, True
    while crashed:
        at += new_world.step
        with new_world() as world:
            before = len(world.recorded())
            world.nginx.refuses = {2} if refused else set()
            crashed = crash(world, at, procfile)
            finish(world)
            check_outcomes(world, before, outcomes, f"crash at call {at}")
            check_world(world, serving=2 if "ref.moved" in outcomes else 1)
    assert at > 10


def test_a_second_crash_while_it_picks_up_changes_nothing(new_world):
    with new_world() as world:
        calls = Fuse(0)
        process = Process(world, calls)
        process.push(2, GOOD)
        process.run()
    for first in range(3, calls.calls, 7 * new_world.step):
        for second in range(2, 40, 9):
            with new_world() as world:
                before = len(world.recorded())
                crash(world, first, GOOD)
                crash(world, second, None)
                finish(world)
                check_outcomes(world, before, SCENARIOS["deployed"][2], f"crashes at calls {first} and {second}")
                check_world(world, serving=2)


def test_a_build_that_ends_the_process_every_time_is_given_up(new_world):
    with new_world() as world:
        commit_image, world.docker.api.commit = world.docker.api.commit, never
        process = Process(world, Fuse(0))
        process.push(2, GOOD)
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(Crash):
                Process(world, Fuse(0)).run()
        world.docker.api.commit = commit_image
        finish(world)
        assert [e.type for e in world.recorded()].count("build.started") == 1 + MAX_ATTEMPTS + 1
        assert world.recorded()[-1].type == "build.failed"
        assert f"given up after {MAX_ATTEMPTS} attempts" in world.recorded()[-1].data.reason
        check_world(world, serving=1)


def test_a_deploy_that_ends_the_process_every_time_is_given_up(new_world):
    with new_world() as world:
        start, world.containers.start = world.containers.start, never
        process = Process(world, Fuse(0))
        process.push(2, GOOD)
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(Crash):
                Process(world, Fuse(0)).run()
        world.containers.start = start
        finish(world)
        assert world.recorded()[-1].type == "deploy.failed"
        assert f"given up after {MAX_ATTEMPTS} attempts" in world.recorded()[-1].data.reason
        check_world(world, serving=1)


def full(self, write):
    """What a full disk does."""
    raise Unavailable("/home/blobs: No space left on device; 0 of 1048576 bytes are free there")


@pytest.mark.parametrize("procfile", [GOOD, UNREADABLE])
def test_a_build_that_the_disk_does_not_take_is_given_up_with_the_numbers(new_world, procfile, monkeypatch):
    with new_world() as world:
        process = Process(world, Fuse(0))
        process.push(2, procfile)
        monkeypatch.setattr(Blobs, "put", full)
        process.run()
        monkeypatch.undo()
        recorded = world.recorded()
        assert [e.type for e in recorded].count("build.started") <= 1 + MAX_ATTEMPTS
        assert recorded[-1].type == "build.failed"
        assert recorded[-1].data.output is None
        assert procfile == UNREADABLE or "0 of 1048576 bytes are free" in recorded[-1].data.reason
        process = Process(world, Fuse(0))
        process.push(3, GOOD)
        process.run()
        check_world(world, serving=3)


@pytest.mark.parametrize(
    ("part", "method", "ends"),
    [
        ("docker.api", "ping", "build.failed"),
        ("docker.api", "create_container", "build.failed"),
        ("docker.api", "networks", "deploy.failed"),
        ("containers", "start", "deploy.failed"),
        ("nginx", "ensure", "deploy.failed"),
        ("containers", "stop", "retire.failed"),
    ],
)
def test_a_part_that_never_answers_ends_in_a_recorded_failure_and_the_next_push_goes_on(new_world, part, method, ends):
    with new_world() as world:
        target = attrgetter(part)(world)
        process = Process(world, Fuse(0))
        process.push(2, GOOD)
        process.start()
        setattr(target, method, unanswered)
        process.finish()
        delattr(target, method)
        types = [e.type for e in world.recorded()]
        assert ends in types[-2:]
        assert types.count("build.started") <= 1 + MAX_ATTEMPTS
        assert types.count("deploy.started") <= 1 + MAX_ATTEMPTS
        check_world(world, serving=2 if ends == "retire.failed" else 1)
        process = Process(world, Fuse(0))
        process.push(3, GOOD)
        process.run()
        check_world(world, serving=3)


def unanswered(*args, **kwargs):
    """What a part does that hangs."""
    raise Unavailable("it does not answer in time")


def test_a_failed_push_is_deployed_by_the_next_one(new_world):
    with new_world() as world:
        crash(world, 12, DIES)
        finish(world)
        process = Process(world, Fuse(0))
        process.push(3, GOOD)
        process.run()
        check_world(world, serving=3)


def never(*args, **kwargs):
    """What takes the whole process down."""
    raise Crash


def check_outcomes(world: World, before: int, outcomes: tuple[str, ...], when: str) -> None:
    """Each outcome stands once; of what was only begun there may be more."""
    recorded = world.recorded()
    counted = Counter(e.type for e in recorded[before:])
    begun = {"push.received": counted.pop("push.received")}
    begun |= {t: counted.pop(t) for t in ("build.started", "deploy.started", "addresses.taken") if t in counted}
    assert counted == dict.fromkeys(outcomes, 1), when
    assert begun.pop("push.received") == 1, when
    assert all(1 <= attempts <= 3 for attempts in begun.values()), when
    assert len({e.correlationid for e in recorded[before:]}) == 1, when


def check_world(world: World, *, serving: int) -> None:
    """Docker and nginx hold exactly what the log says: one container, under its name, routed; no build's container."""
    before = len(world.recorded())
    finish(world)
    assert len(world.recorded()) == before, "an idle start appends nothing"
    (box,) = world.containers.boxes.values()
    assert (box.name, box.serves) == ("crash.hello.web.1", True)
    assert box.spec.environment["GIT_REV"] == commit(serving)
    assert world.nginx.routes["hello"].upstreams == (f"{box.spec.address}:5000",)
    assert world.docker.api.made == {}
    assert list(world.sources.there()) == []
    refs = [e.data for e in world.recorded() if isinstance(e.data, RefMoved)]
    assert refs[-1].new == commit(serving)
    assert [ref.old for ref in refs] == [None, *(ref.new for ref in refs[:-1])]
