"""The database that holds the log and what stands beside it: SQLite for one process, PostgreSQL for many."""

import sqlalchemy as sa

from services import postgres, sqlite
from services.errors import BrokenLog
from services.transactions import Session, Transactions

KINDS: dict[str, type[Session]] = {"sqlite": sqlite.SqliteSession, "postgresql": postgres.PostgresSession}
ALLOWED = "allowed is sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"


def connect(url: str) -> sa.Engine:
    """An engine whose transactions are durable on commit, on a log with its schema in place.

    A SQLite file is made and upgraded here, a PostgreSQL database by `prepare` before. Raises BrokenLog for a damaged
    database, unsafe settings (SQLite: no WAL, `synchronous` below FULL; PostgreSQL: `fsync`, `full_page_writes` or
    `synchronous_commit` off), a schema newer than this Pushlog's or a PostgreSQL role that could change what was
    recorded; Unavailable when the database cannot be had. No password is in their sentences.
    """
    parsed = _parsed(url)
    return postgres.connect(parsed) if parsed.get_backend_name() == "postgresql" else sqlite.connect(parsed)


def prepare(owner_url: str, url: str) -> None:
    """Make or upgrade the tables of a PostgreSQL log as the role of `owner_url`, for the role of `url`.

    That role may then read everything, append events, and change what stands beside the log. Running it again does
    no harm. Raises BrokenLog and Unavailable as `connect` does.
    """
    owner, application = _parsed(owner_url), _parsed(url)
    if {owner.get_backend_name(), application.get_backend_name()} != {"postgresql"}:
        raise BrokenLog("only a log on PostgreSQL is prepared; allowed is postgresql://USER:PASSWORD@HOST/DATABASE")
    if not application.username:
        raise BrokenLog("the log's URL names no role; allowed is postgresql://USER:PASSWORD@HOST/DATABASE")
    postgres.prepare(owner, application.username)


def transactions(engine: sa.Engine) -> Transactions:
    """Transactions on an engine of `connect`."""
    return Transactions(engine, KINDS[engine.dialect.name])


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # a ValueError would show a part of the password
        raise BrokenLog(f"the log's database is not given as a URL; {ALLOWED}") from None
    if parsed.get_backend_name() not in KINDS:
        raise BrokenLog(f"the log cannot be kept in {parsed.get_backend_name()}; {ALLOWED}")
    return parsed
