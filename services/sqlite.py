"""The log in a file of SQLite's, for an instance of one process."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from services import tables
from services.errors import BrokenLog, PushlogError, Unavailable
from services.tables import SCHEMA_VERSION, events, head, meta
from services.transactions import Row, Session

T = TypeVar("T")

APPEND_ONLY = {
    "events_no_update": "BEFORE UPDATE ON events",
    "events_no_delete": "BEFORE DELETE ON events",
    # INSERT OR REPLACE deletes without a trigger on connections that lack recursive_triggers, as every foreign one does
    "events_only_next": "BEFORE INSERT ON events "
    "WHEN NEW.position <> 1 + (SELECT coalesce(max(position), 0) FROM events) "
    "OR NEW.version <> 1 + (SELECT coalesce(max(version), 0) FROM events WHERE stream = NEW.stream) "
    "OR EXISTS (SELECT 1 FROM events WHERE id = NEW.id)",
}
WAIT, TRIES = 200, 50
"""Milliseconds in which SQLite asks for a lock, ever more seldom; and how often it begins that anew. Who asks seldom
gets none beside a writer that appends without a pause."""
PRAGMAS = (
    f"PRAGMA busy_timeout={WAIT}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA recursive_triggers=ON",
    "PRAGMA secure_delete=ON",  # a data key that is deleted is gone from the file, too
)
PAUSE = 0.002
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY)
_INSERT = f"INSERT INTO events VALUES ({', '.join('?' * len(events.c))})"  # noqa: S608


class SqliteSession(Session):
    """See Session."""

    def rows(self, statement: sa.Executable, **parameters: Any) -> list[Row]:
        """See Session."""
        return patiently(partial(super().rows, statement, **parameters))

    def change(self, statement: sa.Executable, **parameters: Any) -> int:
        """See Session."""
        return patiently(partial(super().change, statement, **parameters))

    def begin_reading(self) -> None:
        """See Session."""
        self.cursor.execute("BEGIN")

    def begin_appending(self) -> list[Row]:
        """See Session."""
        # a writer that begins as a reader fails at once when another one wrote in between
        patiently(partial(self.cursor.execute, "BEGIN IMMEDIATE"))
        rows: list[Row] = self.cursor.execute("SELECT position, hash FROM head").fetchall()
        return rows

    def record(self, rows: Sequence[Row]) -> None:
        """See Session."""
        self.cursor.executemany(_INSERT, rows)
        self.cursor.execute("UPDATE head SET position = ?, hash = ?", (rows[-1][0], rows[-1][-1]))

    def alive(self) -> bool:
        """See Session."""
        return True

    @staticmethod
    def ours(error: BaseException) -> PushlogError | None:
        """See Session."""
        if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
            return None
        if error.sqlite_errorcode & 0xFF in _BROKEN or isinstance(error, sqlite3.IntegrityError):
            return BrokenLog(f"the log's database cannot be used: {error}")
        if isinstance(error, sqlite3.OperationalError):
            return Unavailable(f"the log's database: {error}")
        return None


def patiently(act: Callable[[], T]) -> T:
    """Do what may need a lock; while another connection has that, again, TRIES times. Raises SQLite's error."""
    for _ in range(TRIES - 1):
        try:
            return act()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(PAUSE)  # where SQLite sees no use in asking it fails at once
    return act()


def connect(url: sa.URL) -> sa.Engine:
    """See database.connect. Makes and upgrades what is missing, and opens nothing but files with a write-ahead log."""
    engine = sa.create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=8, paramstyle="named")
    sa.event.listen(engine, "connect", _set_up)
    sa.event.listen(engine, "begin", _begin)
    sa.event.listen(engine, "handle_error", _translate)
    try:
        with engine.begin() as connection:
            _create(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _translate(context: sa.engine.ExceptionContext) -> None:
    if translated := SqliteSession.ours(context.original_exception):
        raise translated from context.original_exception


def _set_up(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing on its own: a deferred BEGIN fails under contention
    try:
        for pragma in PRAGMAS:
            patiently(partial(connection.execute, pragma))
        mode, sync = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous"))
        if mode != "wal" or sync < 2:
            raise BrokenLog(f"SQLite runs with journal_mode={mode} synchronous={sync}; the log needs wal and 2 (FULL)")
    except BaseException:
        connection.close()  # the pool knows nothing of it yet
        raise


def _begin(connection: sa.Connection) -> None:
    cursor = connection.connection.cursor()
    try:
        patiently(partial(cursor.execute, "BEGIN IMMEDIATE"))
    except sqlite3.DatabaseError as error:
        raise SqliteSession.ours(error) or error from error
    finally:
        cursor.close()


def _create(connection: sa.Connection) -> None:
    for statement in tables.creation(connection.dialect):
        connection.exec_driver_sql(statement)
    version = connection.execute(sa.select(meta.c.schema_version)).scalar()
    tables.check_version(version, bool(connection.scalar(sa.select(sa.select(events).exists()))))
    if version is None:
        connection.execute(meta.insert().values(schema_version=SCHEMA_VERSION))
        connection.execute(head.insert().values(one=1, position=0, hash="0" * 64))
    for name, when in APPEND_ONLY.items():  # anew at each start: one of the name need not be ours
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        connection.exec_driver_sql(
            f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"
        )
