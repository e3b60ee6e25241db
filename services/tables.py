"""The tables of the log and of what stands beside it, alike on every database."""

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from services.errors import BrokenLog

SCHEMA_VERSION = 1

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # only an INTEGER is SQLite's own row number

metadata = sa.MetaData()

events = sa.Table(
    "events",
    metadata,
    sa.Column("position", Number, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("version", Number, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("schema", Number, nullable=False),
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
    sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    sa.Column("position", Number, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("work", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("attempt", Number, nullable=False),
    sa.Column("beat", Number, nullable=False),
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
meta = sa.Table("meta", metadata, sa.Column("schema_version", sa.Integer, primary_key=True, autoincrement=False))


def creation(dialect: sa.Dialect) -> list[str]:
    """The statements that make what is missing of the tables."""
    return [str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)) for table in metadata.sorted_tables]


def check_version(version: int | None, any_events: bool) -> None:
    """Raise BrokenLog for a schema newer than this Pushlog's, or events without one. None: the log is new."""
    if version is None and any_events:
        raise BrokenLog("the log has events and no schema version; it is damaged")
    if version is not None and version > SCHEMA_VERSION:
        raise BrokenLog(f"the log has schema {version}, newer than this Pushlog's {SCHEMA_VERSION}; upgrade Pushlog")
