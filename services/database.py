"""The database that holds the log and what stands beside it: leases and the keyring. Today SQLite."""

import sqlite3
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from services.errors import BrokenLog, PushlogError, Unavailable

SCHEMA_VERSION = 1

metadata = sa.MetaData()

events = sa.Table(
    "events",
    metadata,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("schema", sa.Integer, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("time", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("correlationid", sa.Text, nullable=False),
    sa.Column("causationid", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.UniqueConstraint("stream", "version"),
)
head = sa.Table(
    "head",
    metadata,
    sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("work", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("beat", sa.Integer, nullable=False),
)
keyring = sa.Table(
    "keyring",
    metadata,
    sa.Column("app", sa.Text, primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)
processes = sa.Table(
    "processes",
    metadata,
    sa.Column("holder", sa.Text, primary_key=True),
    sa.Column("services", sa.Text, nullable=False),
    sa.Column("report", sa.Text, nullable=False),
    sa.Column("seen", sa.DateTime(timezone=True), nullable=False),
)
meta = sa.Table("meta", metadata, sa.Column("schema_version", sa.Integer, primary_key=True))

APPEND_ONLY = {
    "events_no_update": "BEFORE UPDATE ON events",
    "events_no_delete": "BEFORE DELETE ON events",
    # INSERT OR REPLACE deletes without a trigger on connections that lack recursive_triggers, as every foreign one does
    "events_only_next": "BEFORE INSERT ON events "
    "WHEN NEW.position <> 1 + (SELECT coalesce(max(position), 0) FROM events) "
    "OR NEW.version <> 1 + (SELECT coalesce(max(version), 0) FROM events WHERE stream = NEW.stream) "
    "OR EXISTS (SELECT 1 FROM events WHERE id = NEW.id)",
}
PRAGMAS = (
    "PRAGMA busy_timeout=10000",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA recursive_triggers=ON",
)
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY)


def connect(url: str) -> sa.Engine:
    """An engine whose transactions are durable on commit, with the schema in place. Creates an empty log.

    Raises BrokenLog for a damaged file, unsafe settings (no WAL, `synchronous` below FULL) or a schema newer than this
    Pushlog's, Unavailable when the file cannot be had.
    """
    engine = sa.create_engine(_sqlite(url), poolclass=QueuePool, pool_size=1, max_overflow=8, paramstyle="named")
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


def ours(error: BaseException) -> PushlogError | None:
    """The error of ours that says what the driver's error says; None for one that is a mistake in the code."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return None
    if error.sqlite_errorcode & 0xFF in _BROKEN:
        return BrokenLog(f"the log's database cannot be used: {error}")
    if isinstance(error, sqlite3.OperationalError):
        return Unavailable(f"the log's database: {error}")
    return None


def _translate(context: sa.engine.ExceptionContext) -> None:
    if translated := ours(context.original_exception):
        raise translated from context.original_exception


def _sqlite(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise BrokenLog("the log's database is not given as a URL; allowed is sqlite:///FILE") from None
    if parsed.get_backend_name() != "sqlite":
        raise BrokenLog(f"the log cannot be kept in {parsed.get_backend_name()}; allowed is sqlite:///FILE")
    return parsed


def _set_up(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing on its own: a deferred BEGIN fails under contention
    try:
        for pragma in PRAGMAS:
            connection.execute(pragma)
        mode, sync = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous"))
        if mode != "wal" or sync < 2:
            raise BrokenLog(f"SQLite runs with journal_mode={mode} synchronous={sync}; the log needs wal and 2 (FULL)")
    except BaseException:
        connection.close()  # the pool knows nothing of it yet
        raise


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _create(connection: sa.Connection) -> None:
    metadata.create_all(connection)
    version = connection.execute(sa.select(meta.c.schema_version)).scalar()
    if version is None:
        if connection.execute(sa.select(sa.func.count()).select_from(events)).scalar():
            raise BrokenLog("the log has events and no schema version; it is damaged")
        connection.execute(meta.insert().values(schema_version=SCHEMA_VERSION))
        connection.execute(head.insert().values(one=1, position=0, hash="0" * 64))
    elif version > SCHEMA_VERSION:
        raise BrokenLog(f"the log has schema {version}, newer than this Pushlog's {SCHEMA_VERSION}; upgrade Pushlog")
    for name, when in APPEND_ONLY.items():  # anew at each start: one of the name need not be ours
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        connection.exec_driver_sql(
            f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"
        )
