"""Transactions on the driver itself: SQLAlchemy spells each statement once, the driver runs it.

A durable commit takes 0.3 ms; SQLAlchemy's own execution of an append's seven statements took 0.5 ms more.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from services.database import ours


class Transaction:
    """What a `with` block of Transactions runs its statements through."""

    def __init__(self, cursor: Any, owner: "Transactions") -> None:
        self._cursor = cursor
        self._owner = owner

    def rows(self, statement: sa.Executable, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows that a query gives."""
        self._cursor.execute(self._owner.spelled(statement), parameters)
        rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        return rows

    def change(self, statement: sa.Executable, *each: Mapping[str, Any]) -> int:
        """How many rows a statement changed, run once for each of the given parameters."""
        self._cursor.executemany(self._owner.spelled(statement), each)
        count: int = self._cursor.rowcount
        return count


class Transactions:
    """Makes transactions on an engine of `database.connect`. The driver's errors leave it as ours."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._spelled: dict[sa.Executable, str] = {}

    def spelled(self, statement: sa.Executable) -> str:
        """The statement in the database's dialect, compiled once."""
        if statement not in self._spelled:
            self._spelled[statement] = str(sa.ClauseElement.compile(statement, self._engine))  # type: ignore[arg-type]
        return self._spelled[statement]

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """One state of the database, waiting for no writer."""
        with self._transaction("BEGIN") as transaction:
            yield transaction

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Alone among writers; durable at the end of the block, or nothing of it when the block raises."""
        # a writer that begins as a reader fails at once when another one wrote in between
        with self._transaction("BEGIN IMMEDIATE") as transaction:
            yield transaction

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Transaction]:
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(begin)
            yield Transaction(cursor, self)
            connection.commit()
        except self._engine.dialect.loaded_dbapi.Error as error:
            if translated := ours(error):
                raise translated from error
            raise
        finally:
            connection.close()  # to the pool, which rolls back what was not committed
