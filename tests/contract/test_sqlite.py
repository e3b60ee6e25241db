"""What only a database can show: other processes, kills, foreign hands on the file, unsafe settings."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from services import chain, database, past, sqlite
from services.chain import Cause, Draft, Head
from services.errors import BrokenLog, Unavailable
from services.eventlog import TAIL, Lease, SqlLog, open_log
from services.events import BuildStarted
from services.keyring import Keyring

APP = "0190a8c0-0000-7000-8000-000000000001"
CAUSE = Cause("builder", "local")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


@pytest.fixture
def reopen(path: Path) -> Iterator[Callable[[], SqlLog]]:
    """Opens the log anew whenever it is called, as another start of the platform would."""
    engines: list[sa.Engine] = []

    def opened() -> SqlLog:
        log, engine = open_log(f"sqlite:///{path}")
        engines.append(engine)
        return log

    yield opened
    for engine in engines:
        engine.dispose()


def draft(attempt: int = 1, stream: str = "app/1") -> Draft:
    return Draft(stream, "blog", BuildStarted(app=APP, attempt=attempt))


def fill(log: SqlLog, events: int) -> None:
    log.append([draft(n) for n in range(1, events + 1)], CAUSE)


# Durable


def test_a_transaction_that_was_never_committed_is_not_there(path: Path, reopen: Callable[[], SqlLog]) -> None:
    fill(reopen(), 3)

    class Died(BaseException):
        """Stands for the end of the process: nothing handles it."""

    def clock() -> str:
        raise Died

    engine = database.connect(f"sqlite:///{path}")
    log = SqlLog(engine, clock)
    with pytest.raises(Died):
        log.append([draft()], CAUSE)
    assert log.head().position == reopen().head().position == 3
    engine.dispose()


def test_every_connection_waits_for_the_disk_and_keeps_the_triggers(path: Path) -> None:
    engine = database.connect(f"sqlite:///{path}")
    with engine.connect(), engine.connect(), engine.connect() as third:
        pragmas = [
            third.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "recursive_triggers")
        ]
        third.rollback()
    engine.dispose()
    assert pragmas == ["wal", 2, 1]


def test_a_reader_does_not_wait_for_a_writer(path: Path, reopen: Callable[[], SqlLog]) -> None:
    log = reopen()
    fill(log, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE head SET position = 99")
        assert len(log.read()) == log.head().position == 3
        assert len(reopen_reading_only(path)) == 3
        other.execute("ROLLBACK")


def reopen_reading_only(path: Path) -> list[tuple[int]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as foreign:
        return foreign.execute("SELECT position FROM events").fetchall()


# Append-only, whoever holds the file


def like_the_second(**changed: object) -> str:
    """A query for the second event's row with some columns changed."""
    columns = [repr(changed[name]) if name in changed else name for name in (*chain.COLUMNS, "hash")]
    return f"SELECT {', '.join(columns)} FROM events WHERE position = 2"  # noqa: S608


@pytest.mark.parametrize("recursive", ["OFF", "ON"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'nobody'",
        "UPDATE events SET position = 99 WHERE position = 3",
        "UPDATE OR REPLACE events SET position = 1 WHERE position = 2",
        "UPDATE OR IGNORE events SET actor = 'nobody'",
        "DELETE FROM events",
        "DELETE FROM events WHERE position = 3",
        f"REPLACE INTO events {like_the_second(subject='forged')}",
        f"INSERT OR REPLACE INTO events {like_the_second(subject='forged')}",
        f"INSERT OR REPLACE INTO events {like_the_second(position=4, version=4)}",
        f"INSERT OR REPLACE INTO events {like_the_second(position=4, id='new')}",
        f"INSERT OR REPLACE INTO events {like_the_second(id='new', version=4)}",
        f"INSERT OR IGNORE INTO events {like_the_second(subject='forged')}",
        f"INSERT INTO events {like_the_second(subject='forged')} ON CONFLICT DO UPDATE SET subject = 'forged'",
        f"INSERT INTO events {like_the_second(position=5, id='new', version=4)}",
        f"INSERT INTO events {like_the_second(position=0, id='new', version=4)}",
        f"INSERT INTO events {like_the_second(position=4, id='new', version=9)}",
    ],
)
def test_no_statement_changes_an_event_on_any_connection(
    path: Path, reopen: Callable[[], SqlLog], statement: str, recursive: str
) -> None:
    log = reopen()
    fill(log, 3)
    before = log.read()
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute(f"PRAGMA recursive_triggers = {recursive}")
        with pytest.raises(sqlite3.IntegrityError, match="the log is append-only"):
            foreign.execute(statement)
        foreign.commit()
    assert log.read() == before


# Tampering, by one who drops the triggers first


def tamper(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
        for [trigger] in foreign.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            foreign.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            foreign.execute(statement)


@pytest.mark.parametrize("events", [20, TAIL, 3 * TAIL])
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE events SET actor = 'nobody' WHERE position = :last - 7", "event {last-7} was changed"),
        ("UPDATE events SET data = data || ' ' WHERE position = :last", "event {last} was changed"),
        ("UPDATE events SET hash = 'ff' WHERE position = :last - 3", "event {last-3} was changed"),
        ("UPDATE events SET actor = 'nobody' WHERE position = :first", "event {first} was changed"),
        ("DELETE FROM events WHERE position = :last - 5", "no event {last-5}"),
        ("DELETE FROM events WHERE position = :first", "no event {first}"),
        ("DELETE FROM events WHERE position = :last", "head is {last}, but its last event is {last-1}"),
        ("DELETE FROM events WHERE position > 9", "head is {last}, but its last event is 9"),
        ("DELETE FROM events", "head is {last}, but its last event is 0"),
        ("UPDATE head SET position = position - 1", "head is {last-1}, but its last event is {last}"),
        ("UPDATE head SET position = position + 1", "head is {last+1}, but its last event is {last}"),
        ("UPDATE head SET hash = 'ff'", "event {last} is not the one that its head names"),
        ("DELETE FROM head", "lost its head"),
        ("DELETE FROM meta", "events and no schema version"),
    ],
)
def test_a_log_whose_tail_was_tampered_with_is_not_opened(
    path: Path, reopen: Callable[[], SqlLog], events: int, statement: str, found: str
) -> None:
    fill(reopen(), events)
    first = max(1, events - TAIL + 1)
    tamper(path, statement.replace(":last", str(events)).replace(":first", str(first)))
    for n in (-7, -5, -3, -1, 1):
        found = found.replace(f"{{last{n:+d}}}", str(events + n))
    with pytest.raises(BrokenLog, match=found.replace("{last}", str(events)).replace("{first}", str(first))):
        reopen()


def test_nothing_is_appended_to_a_log_whose_head_was_set_back_while_it_was_open(
    path: Path, reopen: Callable[[], SqlLog]
) -> None:
    log = reopen()
    fill(log, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
        foreign.execute("UPDATE head SET position = 2")
    with pytest.raises(BrokenLog, match="the log's database cannot be used: the log is append-only"):
        log.append([draft()], CAUSE, claim=Lease("w", "one", 1))
    assert log.leases() == {}


def test_a_log_that_was_cut_off_with_its_head_shows_only_against_a_head_noted_elsewhere(
    path: Path, reopen: Callable[[], SqlLog]
) -> None:
    log = reopen()
    fill(log, 20)
    noted, earlier = log.head(), log.read()[9]
    tamper(
        path,
        "DELETE FROM events WHERE position > 10",
        f"UPDATE head SET position = 10, hash = '{earlier.hash}'",  # noqa: S608
    )
    log = reopen()
    fill(log, 10)
    assert log.head().position == noted.position
    assert log.head().hash != noted.hash


TAMPERED = [
    ("UPDATE events SET data = data || ' ' WHERE position = 7", 7, "event 7 was changed"),
    ("UPDATE events SET time = 'x' WHERE position = 1", 1, "event 1 was changed"),
    ("UPDATE events SET hash = 'ff' WHERE position = 20", 20, "event 20 was changed"),
    ("DELETE FROM events WHERE position = 7", 7, "has no event 7"),
    ("DELETE FROM events WHERE position > 18", 19, "has no event 19"),
    ("DELETE FROM events", 1, "has no event 1"),
    ("UPDATE events SET position = 99 WHERE position = 20", 20, "has no event 20"),
    ("UPDATE head SET position = 18", 18, "event 18 is not the one that its head names"),
    (
        "UPDATE head SET position = 18, hash = (SELECT hash FROM events WHERE position = 18)",
        19,
        "head is 18, but its last event is 20",
    ),
    ("UPDATE head SET hash = 'ff'", 20, "event 20 is not the one that its head names"),
]
"""What foreign hands do to 20 events, the position that log:verify names, and what it says."""


def rechained(log: SqlLog, since: int) -> list[str]:
    """Statements that write the events from a position on anew, by another actor, with a chain and a head that fit."""
    before, statements = log.rows(since - 2, 1)[0][-1], []
    for row in log.rows(since - 1, 1000):
        forged = (*row[:9], "eve", *row[10:-1])
        before = chain.row_hash(before, forged)
        statements.append(f"UPDATE events SET actor = 'eve', hash = '{before}' WHERE position = {row[0]}")  # noqa: S608
    return [*statements, f"UPDATE head SET hash = '{before}'"]  # noqa: S608


@pytest.mark.parametrize(("statement", "bad", "said"), TAMPERED)
def test_verifying_names_the_first_event_that_foreign_hands_were_at_while_it_was_open(
    path: Path, reopen: Callable[[], SqlLog], statement: str, bad: int, said: str
) -> None:
    log = reopen()
    fill(log, 20)
    tamper(path, statement)
    *_, found = past.verify(log)
    assert (found.bad, said in (found.wrong or "")) == (bad, True), found.wrong


def test_a_tail_that_was_written_anew_and_fits_shows_only_against_a_head_noted_elsewhere(
    path: Path, reopen: Callable[[], SqlLog]
) -> None:
    log = reopen()
    fill(log, 20)
    noted = log.head()
    tamper(path, *rechained(log, 11))
    *_, found = past.verify(reopen())
    assert (found.wrong, found.head.position) == (None, 20)
    *_, found = past.verify(log, noted)
    assert (found.bad, found.wrong) == (20, "the log's event 20 is not the one of the head that was noted")


def test_dropped_and_forged_triggers_are_put_right_by_the_next_start(path: Path, reopen: Callable[[], SqlLog]) -> None:
    fill(reopen(), 3)
    tamper(path, "CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT 1; END")
    reopen()
    with closing(sqlite3.connect(path)) as foreign, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        foreign.execute("DELETE FROM events")


# Refusals


def refused(url: str) -> str:
    """Why a log at a URL is not opened."""
    with pytest.raises((BrokenLog, Unavailable)) as error:
        open_log(url)
    return str(error.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"])
def test_a_log_that_would_be_in_memory_is_refused(url: str) -> None:
    assert refused(url) == "SQLite runs with journal_mode=memory synchronous=2; the log needs wal and 2 (FULL)"


def test_a_file_system_without_wal_is_refused(path: Path) -> None:
    said = refused(f"sqlite:///file:{path}?vfs=unix-dotfile&uri=true")  # a locking style without shared memory
    assert said == "SQLite runs with journal_mode=delete synchronous=2; the log needs wal and 2 (FULL)"


@pytest.mark.parametrize("level", ["OFF", "NORMAL"])
def test_commits_that_do_not_wait_for_the_disk_are_refused(
    path: Path, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PRAGMAS", (*sqlite.PRAGMAS, f"PRAGMA synchronous={level}"))
    assert "the log needs wal and 2 (FULL)" in refused(f"sqlite:///{path}")


def test_a_file_that_cannot_be_written_is_refused(path: Path, reopen: Callable[[], SqlLog]) -> None:
    fill(reopen(), 1)
    said = refused(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert said == "the log's database cannot be used: attempt to write a readonly database"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refused(f"sqlite:///{tmp_path}/none/log.sqlite") == "the log's database: unable to open database file"


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"not a database\n" * 100)
    assert refused(f"sqlite:///{path}") == "the log's database cannot be used: file is not a database"
    assert path.read_bytes() == b"not a database\n" * 100


def test_a_damaged_page_is_refused(path: Path, reopen: Callable[[], SqlLog]) -> None:
    fill(reopen(), 50)
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [[page, size]] = foreign.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'events'"
        ).fetchall()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)
    assert refused(f"sqlite:///{path}") == "the log's database cannot be used: database disk image is malformed"


def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path, reopen: Callable[[], SqlLog]) -> None:
    fill(reopen(), 1)
    tamper(path, "UPDATE meta SET schema_version = 2", "DROP TABLE leases")
    assert refused(f"sqlite:///{path}") == "the log has schema 2, newer than this Pushlog's 1; upgrade Pushlog"
    with closing(sqlite3.connect(path)) as foreign:
        assert not foreign.execute("SELECT * FROM sqlite_master WHERE name = 'leases' OR type = 'trigger'").fetchall()


@pytest.mark.parametrize("url", ["mysql://u:secret@host/db", "postgresql://u:p@host:secret/db", "log.sqlite", ""])
def test_another_kind_of_database_is_refused_without_its_password(url: str) -> None:
    said = refused(url)
    assert "allowed is sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE" in said
    assert "sec" not in said


def test_a_file_of_the_first_version_opens_with_all_that_it_holds_and_goes_on(
    path: Path, reopen: Callable[[], SqlLog]
) -> None:
    with closing(sqlite3.connect(path)) as old:
        old.executescript((Path(__file__).parent / "samples" / "log.1.sql").read_text())
    log = reopen()
    recorded = log.read()
    assert [(r.type, r.version) for r in recorded] == [
        ("name.taken", 1),
        ("app.created", 1),
        ("config.changed", 2),
        ("build.started", 1),
    ]
    engine = database.connect(f"sqlite:///{path}")
    assert Keyring(engine, bytes(range(32))).open_all(APP, recorded[2].data.set) == {"GREETING": "hello ✓"}
    engine.dispose()
    [(lease, _)] = log.leases().values()
    log.append([draft(2, recorded[3].stream)], CAUSE, expect={recorded[3].stream: 1}, lease=lease)
    assert reopen().head() == log.head() == Head(5, log.read()[4].hash)


# Faults while running


def test_a_database_that_stays_locked_is_unavailable_and_recovers(
    path: Path, reopen: Callable[[], SqlLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PRAGMAS", (*sqlite.PRAGMAS, "PRAGMA busy_timeout=50"))
    log = reopen()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="database is locked"):
            fill(log, 1)
    fill(log, 1)
    assert log.head().position == 1


def test_a_full_disk_is_unavailable_records_nothing_and_recovers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, engine = open_log(f"sqlite:///{path}")
    fill(log, 3)
    with closing(sqlite3.connect(path)) as foreign:
        [pages] = foreign.execute("PRAGMA page_count").fetchone()
    with monkeypatch.context() as full:
        full.setattr(sqlite, "PRAGMAS", (*sqlite.PRAGMAS, f"PRAGMA max_page_count = {pages}"))
        engine.dispose()  # the next connection has the limit
        with pytest.raises(Unavailable, match="database or disk is full") as first:
            fill(log, 200)
        assert log.head().position == len(log.read()) == 3
        with pytest.raises(Unavailable, match="database or disk is full") as second:
            fill(log, 200)
        engine.dispose()
    fill(log, 200)
    assert log.head().position == 203
    assert first.value is not second.value  # both are known still, with all that their traces name: no lock was kept
    engine.dispose()
