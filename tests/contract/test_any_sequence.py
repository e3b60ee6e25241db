"""Whatever is commanded, in any order: the state is one, live, replayed, from a snapshot or a backup, or rewound."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configsvc import answers
from gitreceiver import deleting
from gitreceiver.backup import plausible, replay
from gitreceiver.git.receive_pack import RefCommand, ignore
from services import chain, database, past
from services.chain import Cause, Draft, uuid7
from services.errors import PushlogError
from services.events import RefMoved, app_stream
from services.memorylog import MemoryLog
from services.projections import Projections
from services.runner import SERVICES
from services.snapshots import Snapshots
from tests import fleet
from tests.contract.crashworld import APP, CAUSE, Fuse, Process, World

MAIN, TAG = "refs/heads/main", "refs/tags/v1"
KEYS, HOSTS, NAMES = ("COLOR", "SHAPE"), ("a.example.org", "b.example.org"), ("hello", "other")
GOOD, DIES = "web: serve\nworker: serve\n", "web: exit\n"

Command = Callable[[Process], object]


def cause() -> dict[str, str]:
    """Whose command it is; each is a story of its own."""
    return {**CAUSE, "correlationid": uuid7()}


def push(procfile: str) -> Command:
    """A push, if there is the app."""

    def run(process: Process) -> None:
        process.platform.projections.catch_up()
        if APP in process.gitreceiver.state.apps:
            process.push(len(process.world.recorded()) + 1, procfile)

    return run


def set_config(name: str, key: str, value: str) -> Command:
    return lambda p: answers.change_config(p.configsvc, name, {key: value}, [], True, cause())


def unset_config(name: str, key: str) -> Command:
    return lambda p: answers.change_config(p.configsvc, name, {}, [key], False, cause())


def add_domain(name: str, host: str) -> Command:
    return lambda p: answers.change_domains(p.configsvc, name, [host], [], cause())


def remove_domain(name: str, host: str) -> Command:
    return lambda p: answers.change_domains(p.configsvc, name, [], [host], cause())


def scale(name: str, process: str, count: int, deploy: bool) -> Command:
    return lambda p: answers.scale(p.configsvc, name, {process: count}, deploy, cause())


def create(name: str) -> Command:
    return lambda p: answers.create_app(p.configsvc, name, cause(), None)


def destroy(name: str, now: bool) -> Command:
    return lambda p: answers.destroy_app(p.configsvc, name, cause(), now)


def undo(back: int) -> Command:
    """The undoing of what recorded the event so many positions before the last."""
    return lambda p: answers.undo(p.configsvc, max(1, p.world.log.head().position - back), cause())


def rollback(name: str, number: int | None, keep: list[str]) -> Command:
    return lambda p: answers.rollback(p.configsvc, name, number, keep, cause())


def delete(ref: str) -> Command:
    """The deletion of a branch or tag, if it stands."""

    def run(process: Process) -> None:
        process.platform.projections.catch_up()
        app = process.gitreceiver.state.apps.get(APP)
        command = RefCommand(ref, app.refs.get(ref) if app else None, None)
        assert deleting.delete(process.gitreceiver, Cause(**cause()), app, command, ignore) is None or ref == MAIN

    return run


def tag(process: Process) -> None:
    """A tag, if there is the app."""
    process.platform.projections.catch_up()
    if app := process.gitreceiver.state.apps.get(APP):
        moved = RefMoved(app=APP, ref=TAG, old=app.refs.get(TAG), new="1" * 40, deploys=False)
        process.platform.log.append([Draft(app_stream(APP), app.name, moved)], Cause(**cause()))


names = st.sampled_from(NAMES)
commands = st.lists(
    st.one_of(
        st.builds(push, st.sampled_from([GOOD, GOOD, DIES])),
        st.builds(set_config, names, st.sampled_from(KEYS), st.sampled_from(["c2VhbGVk", "b3RoZXI="])),
        st.builds(unset_config, names, st.sampled_from(KEYS)),
        st.builds(add_domain, names, st.sampled_from(HOSTS)),
        st.builds(remove_domain, names, st.sampled_from(HOSTS)),
        st.builds(scale, names, st.sampled_from(["web", "worker"]), st.integers(0, 2), st.booleans()),
        st.builds(create, names),
        st.builds(destroy, st.sampled_from(NAMES[1:]), st.booleans()),
        st.builds(delete, st.sampled_from([MAIN, TAG])),
        st.just(tag),
        st.builds(undo, st.integers(0, 12)),
        st.builds(rollback, names, st.one_of(st.none(), st.integers(1, 4)), st.lists(st.sampled_from(["config"]))),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The keyring's database."""
    engine = database.connect(f"sqlite:///{tmp_path_factory.mktemp('keys') / 'keys.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module", autouse=True)
def containers_of_this_host() -> Iterator[None]:
    """The crash world's containers are sockets of this host, whose addresses no real backup has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plausible, "NEVER", ())
        yield


def live(process: Process) -> dict[str, str]:
    """The digest of each service's state."""
    process.platform.projections.catch_up()
    return {name: past.digest(getattr(process, name).state) for name in SERVICES}


def restored(log: MemoryLog) -> MemoryLog:
    """The log of an instance that imported a backup of this one's."""
    other = MemoryLog()
    lines = b"".join(chain.canonical(list(row)).encode() + b"\n" for row in log.rows(0, log.head().position))
    other.adopt(replay.rows([lines]), {})
    replay.replay(other)
    return other


def rebuilt(log: MemoryLog, until: int) -> dict[str, str]:
    """The same, folded from the first event on."""
    states = past.states(SERVICES)
    list(past.replay(log, states, 0, until))
    return {name: past.digest(state) for name, state in states.items()}


def restarted(log: MemoryLog, snapshots: Snapshots | None) -> dict[str, str]:
    """The same in a process that starts now, from a snapshot if there is one."""
    projections, folds = Projections(log, snapshots), dict(fleet.folds())
    for name, fold in folds.items():
        projections.add(fold, name)
    projections.catch_up()
    projections.keep()
    return {name: past.digest(folds[f"{name}.state.State"]) for name in SERVICES}


@settings(max_examples=30, deadline=None)
@given(commands)
def test_any_sequence_of_commands_gives_one_state_however_it_is_come_by(keys, sequence: list[Command]) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        log = MemoryLog()
        world = World(home, log, keys)
        try:
            process = Process(world, Fuse(0))
            process.create()
            process.start()
            snapshots = Snapshots(Path(folder) / "snapshot", "test")
            seen = {log.head().position: live(process)}
            for number, command in enumerate(sequence):
                with suppress(PushlogError):
                    command(process)
                process.finish()
                seen[log.head().position] = live(process)
                if number == len(sequence) // 2:
                    restarted(log, snapshots)
            end = log.head().position
            assert rebuilt(log, end) == seen[end]
            assert restarted(log, snapshots) == seen[end]
            assert rebuilt(restored(log), end) == seen[end]
            for position, then in seen.items():
                assert rebuilt(log, position) == then
            assert list(past.verify(log))[-1].wrong is None
        finally:
            world.close()
