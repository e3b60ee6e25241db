"""What only several processes at one log can show, on every database that keeps one."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services import database
from services.eventlog import SqlLog, open_log
from services.events import Event, Recorded
from services.keyring import Keyring
from tests.contract.databases import KINDS, fresh_url

ROOT = Path(__file__).parents[2]
DEADLINE = 120.0


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def log(url: str) -> Iterator[SqlLog]:
    log, engine = open_log(url)
    yield log
    engine.dispose()


class Writer:
    """tests/contract/writer.py, run as a process of its own."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests/contract/writer.py", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.out = self.process.stdout

    def line(self) -> str:
        """The next thing that it says."""
        return self.out.readline().strip()

    def lines(self) -> list[str]:
        """All that it says until it ends well."""
        said = self.out.read().splitlines()
        assert self.process.wait(DEADLINE) == 0
        return said

    def kill(self) -> list[str]:
        """SIGKILL; returns the whole lines that it had still said."""
        self.process.kill()
        return [line.strip() for line in self.out if line.endswith("\n")]


@pytest.fixture
def writers(url: str) -> Iterator[Callable[..., Writer]]:
    """Starts a writer at the log: a verb and its arguments."""
    started: list[Writer] = []

    def start(verb: str, *arguments: object) -> Writer:
        started.append(Writer(verb, url, *arguments))
        return started[-1]

    yield start
    for writer in started:
        with writer.process:
            writer.process.kill()


def everything(log: SqlLog) -> list[Recorded[Event]]:
    return log.read(0, 1_000_000)


def test_what_append_returned_survives_a_kill_of_its_process(writers: Callable[..., Writer], log: SqlLog) -> None:
    for round_ in range(1, 4):
        writer = writers("append", "one", 200_000)
        said = [writer.line() for _ in range(20)] + writer.kill()
        positions = [recorded.position for recorded in everything(log)]
        assert positions == list(range(1, len(positions) + 1))
        # the one that was under way may have been committed and not reported
        assert int(said[-1]) <= len(positions) <= int(said[-1]) + 1, f"round {round_}"


def test_a_reader_misses_nothing_of_eight_writers_that_dawdle_inside_their_transactions(
    writers: Callable[..., Writer], log: SqlLog
) -> None:
    streams = [f"stream/{n}" for n in range(8)]
    writer = writers("append", ",".join(streams), 25)
    seen: list[tuple[int, str, int]] = []
    deadline = time.monotonic() + DEADLINE
    while len(seen) < 200:
        seen += [(r.position, r.stream, r.version) for r in log.read(seen[-1][0] if seen else 0)]
        assert time.monotonic() < deadline, f"{len(seen)} events"
    returned = sorted(map(int, writer.lines()))
    assert [position for position, _, _ in seen] == list(range(1, 201)) == returned
    for name in streams:
        assert [version for _, stream, version in seen if stream == name] == list(range(1, 26))
    assert len({stream for _, stream, _ in seen[:100]}) > 1, "the writers did not write at the same moment"


def test_of_two_processes_that_claim_the_same_work_one_wins(writers: Callable[..., Writer], log: SqlLog) -> None:
    said = [line.split() for line in writers("claim", "one,two", 40).lines()]
    won = {work: name for result, work, name in said if result == "won"}
    lost = {work: name for result, work, name in said if result == "lost"}
    assert len(said) == 80
    assert set(won) == set(lost) == set(map(str, range(40)))
    assert {work: lease.holder for work, (lease, _) in log.leases().items()} == won
    assert log.head().position == 40


def test_two_processes_that_seal_for_one_app_at_the_same_moment_make_one_key(
    url: str, writers: Callable[..., Writer]
) -> None:
    said = [line.split() for line in writers("seal", "one,two", 20).lines()]
    assert len(said) == 40
    engine = database.connect(url)
    ring = Keyring(engine, bytes(32))
    for number, sealed in said:
        assert ring.open(f"app {number}", "TOKEN", sealed) == "canary"
    engine.dispose()


def test_a_new_log_can_be_opened_by_many_processes_at_once(writers: Callable[..., Writer]) -> None:
    assert writers("open", "a,b,c,d", 3).lines() == ["0"] * 12


def test_a_log_can_be_opened_while_others_append(writers: Callable[..., Writer], log: SqlLog) -> None:
    writer = writers("append", "one", 200_000)
    assert writer.line() == "1"
    assert len(writers("open", "a,b", 5).lines()) == 10
    assert writer.process.poll() is None, "the writer ended too early to disturb anyone"
