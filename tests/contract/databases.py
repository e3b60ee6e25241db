"""Fresh databases for logs of each kind that keeps one."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from services import database
from tests.postgres import Database, server

KINDS = ["sqlite", "postgresql"]


@contextmanager
def fresh_url(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty log: a file in the folder, or a database of the session's server."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/log.sqlite"
    else:
        with prepared() as made:
            yield made.url


@contextmanager
def prepared() -> Iterator[Database]:
    """A PostgreSQL database that is ready to be a log."""
    made = server().create_database(_template())
    try:
        yield made
    finally:
        server().drop_database(made)


@cache
def _template() -> Database:
    """Prepared once, as a copy is quicker."""
    made = server().create_database()
    database.prepare(made.owner_url, made.url)
    return made
