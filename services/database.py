"""The database that holds the log and what stands beside it: leases and the keyring. Today SQLite."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, QueuePool

from services.errors import BrokenLog

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
meta = sa.Table("meta", metadata, sa.Column("schema_version", sa.Integer, primary_key=True))

APPEND_ONLY = tuple(
    f"CREATE TRIGGER IF NOT EXISTS events_no_{verb.lower()} BEFORE {verb} ON events "
    "BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"
    for verb in ("UPDATE", "DELETE")
)
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=10000",
    # without it INSERT OR REPLACE deletes a row and no trigger fires
    "PRAGMA recursive_triggers=ON",
)


def connect(url: str) -> sa.Engine:
    """An engine whose transactions are durable on commit, with the schema in place. Creates an empty log.

    Raises BrokenLog for unsafe settings (no WAL, `synchronous` below FULL) or a schema newer than this Pushlog's.
    """
    if sa.make_url(url).get_backend_name() != "sqlite":
        raise BrokenLog(f"the log cannot be kept in {sa.make_url(url).get_backend_name()}; allowed is sqlite:///FILE")
    engine = sa.create_engine(url, poolclass=NullPool if ":memory:" in url else QueuePool, pool_size=1, max_overflow=8)
    sa.event.listen(engine, "connect", _set_up)
    sa.event.listen(engine, "begin", _begin)
    with engine.begin() as connection:
        _create(connection)
    return engine


def _set_up(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing on its own: a deferred BEGIN fails under contention
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(pragma)
    mode, sync = (cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous"))
    if mode != "wal" or sync < 2:
        raise BrokenLog(f"SQLite runs with journal_mode={mode} synchronous={sync}; the log needs wal and 2 (FULL)")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _create(connection: sa.Connection) -> None:
    metadata.create_all(connection)
    for trigger in APPEND_ONLY:
        connection.exec_driver_sql(trigger)
    version = connection.execute(sa.select(meta.c.schema_version)).scalar()
    if version is None:
        connection.execute(meta.insert().values(schema_version=SCHEMA_VERSION))
        connection.execute(head.insert().values(one=1, position=0, hash="0" * 64))
    elif version > SCHEMA_VERSION:
        raise BrokenLog(f"the log has schema {version}, newer than this Pushlog's {SCHEMA_VERSION}; upgrade Pushlog")
