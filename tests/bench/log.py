"""The log alone, on each engine: appends beside what the disk and a plain insert take, tailing, replay and restart.

Rates are of half a second each, in turns with what they are compared with, so that all see the same machine.
"""

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from uuid import uuid4

import psycopg
from eventsourcing.persistence import ApplicationRecorder, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore
from psycopg.conninfo import conninfo_to_dict

from services import chain, database
from services.chain import Cause, Draft, uuid7
from services.eventlog import SqlLog, open_log
from services.events import BuildSucceeded, work_stream
from tests import fleet
from tests.bench.figures import Figure, note
from tests.bench.handler import handled
from tests.bench.workbench import say
from tests.e2e.harness import ROOT
from tests.postgres import Server

SECONDS = 0.5
BATCH = 100
TAILED = 300
PAGE = 1000
CAUSE = Cause("builder", "ann SHA256:" + "a" * 43, "192.0.2.7", "git push", "a-story", "a-push")
EVENT = BuildSucceeded(
    app="0190a8c0-0000-7000-8000-000000000001",
    attempt=1,
    image="sha256:" + "1" * 64,
    stack="sha256:" + "5" * 64,
    buildpack="Python",
    processes=fleet.PROCESSES,
    commit="c" * 40,
    output="sha256:" + "b" * 64,
)
BYTES = chain.canonical(EVENT.model_dump(mode="json")).encode()


@dataclass
class Engine:
    """An empty log, another one for a fleet's story, and what is beside them on the same engine.

    That is a durable insert of one row, and the library's store.
    """

    name: str
    url: str
    told: str
    insert: Callable[[], None]
    library: ApplicationRecorder


def log_figures(folder: Path, runs: int, events: int) -> list[Figure]:
    """The figures of both engines; logs of `events` events are replayed."""
    figures = []
    with ExitStack() as stack:
        for engine in (stack.enter_context(sqlite(folder)), stack.enter_context(postgresql())):
            figures += appends(engine, folder, runs)
            figures += tail(engine)
            figures += replay(engine, folder, events)
    return figures + handled(folder, EVENT)


@contextmanager
def sqlite(folder: Path) -> Iterator[Engine]:
    """SQLite, each file with a journal of its own."""
    plain = sqlite3.connect(folder / "plain.sqlite3", isolation_level=None)
    plain.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE plain (id INTEGER PRIMARY KEY, data)"
    )
    library = SQLiteApplicationRecorder(SQLiteDatastore(str(folder / "library.sqlite3")))
    library.create_table()
    urls = [f"sqlite:///{folder}/{name}.sqlite3" for name in ("log", "told")]
    yield Engine("SQLite", *urls, lambda: insert(plain, "INSERT INTO plain (data) VALUES (?)"), library)
    plain.close()


@contextmanager
def postgresql() -> Iterator[Engine]:
    """A PostgreSQL server of the bench's own, with a database for each."""
    server = Server()
    try:
        logs = [server.create_database() for _ in range(2)]
        for made in logs:
            database.prepare(made.owner_url, made.url)
        with psycopg.connect(server.create_database().owner_url, autocommit=True) as plain:
            plain.execute("CREATE TABLE plain (id bigserial PRIMARY KEY, data bytea)")
            where = conninfo_to_dict(server.create_database().owner_url)
            store = PostgresDatastore(where["dbname"], where["host"], where["port"], where["user"], where["password"])
            library = PostgresApplicationRecorder(store)
            library.create_table()
            urls = [made.url for made in logs]
            yield Engine("PostgreSQL", *urls, lambda: insert(plain, "INSERT INTO plain (data) VALUES (%s)"), library)
            store.close()
    finally:
        server.remove()


def insert(connection: sqlite3.Connection | psycopg.Connection, statement: str) -> None:
    """One row of an event's size, durable on return."""
    connection.execute(statement, (BYTES,))  # type: ignore[arg-type]


def drafts(number: int) -> list[Draft]:
    """So many outcomes of builds, each on a stream of its own."""
    return [Draft(work_stream(uuid7()), "hello", EVENT) for _ in range(number)]


def stored(number: int) -> list[StoredEvent]:
    """The same for the library."""
    return [StoredEvent(uuid4(), 1, EVENT.TYPE, BYTES) for _ in range(number)]


def appends(engine: Engine, folder: Path, runs: int) -> list[Figure]:
    """Single appends, which are decided on the stream's version as hops do, and batches."""
    log, opened = open_log(engine.url)
    single = Figure(f"{engine.name}-single", f"{engine.name}: events/s, one an append", "/s", 0)
    batches = Figure(f"{engine.name}-batches", f"{engine.name}: events/s, {BATCH} an append", "/s", 15_000)

    def append() -> None:
        (draft,) = drafts(1)
        log.append([draft], CAUSE, expect={draft.stream: 0})

    with Flushed(folder / "flushed") as flushed:
        for number in range(1, runs + 1):
            say(f"{engine.name}: appends, {number} of {runs}", end="\r" if sys.stderr.isatty() else "\n")
            note(single.floors, {"write + fdatasync": rate(flushed.write)})
            single.runs.append(rate(append))
            note(single.beside, {"a plain insert": rate(engine.insert)})
            note(single.beside, {"eventsourcing": rate(lambda: engine.library.insert_events(stored(1)))})
            batches.runs.append(BATCH * rate(lambda: log.append(drafts(BATCH), CAUSE)))
            library = BATCH * rate(lambda: engine.library.insert_events(stored(BATCH)))
            note(batches.beside, {"eventsourcing": library})
    opened.dispose()
    library_rate = statistics.median(single.beside["eventsourcing"])
    single.aim = round(0.7 * single.floor if engine.name == "SQLite" else library_rate)
    return [single, batches]


class Flushed:
    """A file that what is written to is on disk: a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self) -> None:
        """Add an event's bytes, durably."""
        os.write(self._file, BYTES)
        os.fdatasync(self._file)

    def __enter__(self) -> "Flushed":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def rate(act: Callable[[], object]) -> float:
    """How often a second `act` can be done."""
    start, times = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < SECONDS:
        act()
        times += 1
    return times / spent


def tail(engine: Engine) -> list[Figure]:
    """From before an append until another process, which looks all the time, has read and decoded the event."""
    log, opened = open_log(engine.url)
    begun: list[float] = []
    with child("tail", engine.url, str(log.head().position), str(TAILED)) as reader:
        assert reader.stdout
        reader.stdout.readline()
        for _ in range(TAILED):
            begun.append(time.monotonic())
            log.append(drafts(1), CAUSE)
            reader.stdout.readline()
        seen = json.loads(reader.stdout.readline())
    opened.dispose()
    waits = sorted(end - start for start, end in zip(begun, seen, strict=True))
    return [
        Figure(f"{engine.name}-tail-{name}", f"{engine.name}: append → read elsewhere, {name}", "s", 0.02, runs=[value])
        for name, value in (("p50", statistics.median(waits)), ("p99", waits[int(len(waits) * 0.99)]))
    ]


def replay(engine: Engine, folder: Path, events: int) -> list[Figure]:
    """All folds of an embedded instance in a fresh process: from the log alone, then from a snapshot of it."""
    log, opened = open_log(engine.told)
    fill(log, events)
    opened.dispose()
    snapshot = folder / f"{engine.name}.snapshot"
    whole = Figure(f"{engine.name}-replay", f"{engine.name}: replay of {events:,} events", "s", 15e-6 * events)
    again = Figure(f"{engine.name}-restart", f"{engine.name}: the same from a snapshot", "s", 2)
    for number in range(1, 4):
        say(f"{engine.name}: replay, {number} of 3")
        with child("replay", engine.told, str(snapshot)) as reader:
            assert reader.stdout
            told = json.load(reader.stdout)
        whole.runs.append(told["replay"])
        again.runs.append(told["restart"])
        note(whole.parts, {"of which CPU": told["cpu"], "memory, MB": told["megabytes"]})
        note(again.beside, {"snapshot, MB": told["snapshot"], "writing it": told["keep"]})
    return [whole, again]


def fill(log: SqlLog, events: int) -> None:
    """Put a fleet's story into an empty log."""
    rows = fleet.rows(Random(1))
    for done in range(0, events, PAGE):
        if done % 100_000 == 0:
            say(f"writing {min(100_000, events - done):,} events")
        with log._transactions.appending() as (session, _):
            session.record(list(islice(rows, min(PAGE, events - done))))


@contextmanager
def child(*argv: str) -> Iterator[subprocess.Popen[str]]:
    """A fresh process (tests/bench/reader.py) whose output is read; it must end well."""
    command = [sys.executable, "-m", "tests.bench.reader", *argv]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
            if process.wait(60):
                raise AssertionError(f"tests.bench.reader {argv[0]} failed")
        finally:
            process.kill()
