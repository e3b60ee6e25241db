"""Transactions on the driver itself: SQLAlchemy spells each statement once, the driver runs it.

A durable commit takes 0.3 ms; SQLAlchemy's own execution of an append's statements took 0.5 ms more, and its pool of
connections 0.04 ms. What differs from database to database is a Session of each (services/sqlite.py, postgres.py).
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from services.errors import PushlogError

Row = tuple[Any, ...]


class Session(ABC):
    """A connection of the driver's, outside of the pool; it begins nothing on its own."""

    def __init__(self, connection: Any, spelled: Callable[[sa.Executable], str]) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self._spelled = spelled

    def rows(self, statement: sa.Executable, **parameters: Any) -> list[Row]:
        """The rows that a query gives."""
        self.cursor.execute(self._spelled(statement), parameters)
        rows: list[Row] = self.cursor.fetchall()
        return rows

    def change(self, statement: sa.Executable, **parameters: Any) -> int:
        """How many rows a statement changed."""
        self.cursor.execute(self._spelled(statement), parameters)
        count: int = self.cursor.rowcount
        return count

    def close(self) -> None:
        """End the connection, and with it what is not committed."""
        # SQLite's would go on, its locks held, for as long as a statement of the cursor's is known, be it by a trace
        self.cursor.close()
        self.connection.close()

    @abstractmethod
    def begin_reading(self) -> None:
        """See one state of the database from now on, waiting for no writer."""

    @abstractmethod
    def begin_appending(self) -> list[Row]:
        """Be alone among those who append from now on; returns the rows of `head`."""

    @abstractmethod
    def record(self, rows: Sequence[Row]) -> None:
        """Add rows (chain.COLUMNS and the hash) to `events`, and move `head` to the last of them."""

    @abstractmethod
    def alive(self) -> bool:
        """Whether the connection was still there a moment ago, as far as can be told without asking."""

    @staticmethod
    @abstractmethod
    def ours(error: BaseException) -> PushlogError | None:
        """The error of ours that says what the driver's error says; None for one that is a mistake in the code."""


class Transactions:
    """Runs transactions on an engine of `database.connect`, through sessions of its kind.

    The driver's errors leave as ours. After one the session is given up, so that the next call begins on a new one.
    """

    def __init__(self, engine: sa.Engine, kind: type[Session]) -> None:
        self._engine = engine
        self._kind = kind
        self._idle: deque[Session] = deque()  # its ends are taken and given without a lock
        self._texts: dict[sa.Executable, str] = {}
        sa.event.listen(engine, "engine_disposed", self._dispose)

    def rows(self, statement: sa.Executable, **parameters: Any) -> list[Row]:
        """The rows that a query gives, as of one moment."""
        with self._session() as session:
            return session.rows(statement, **parameters)

    def change(self, statement: sa.Executable, **parameters: Any) -> int:
        """How many rows a statement changed, durably."""
        with self._session() as session:
            return session.change(statement, **parameters)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One state of the database for several queries."""
        with self._session() as session:
            session.begin_reading()
            yield session
            session.connection.commit()

    @contextmanager
    def appending(self) -> Iterator[tuple[Session, list[Row]]]:
        """Alone among those who append, with the rows of `head`.

        What is done is durable at the end of the block, or nothing of it is when the block raises.
        """
        with self._session() as session:
            yield session, session.begin_appending()
            session.connection.commit()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            session = self._take()
            try:
                yield session
            except self._engine.dialect.loaded_dbapi.Error:
                session.close()
                raise
            except BaseException:
                self._roll_back(session)
                raise
            self._idle.append(session)
        except self._engine.dialect.loaded_dbapi.Error as error:
            if translated := self._kind.ours(error):
                raise translated from error
            raise

    def _take(self) -> Session:
        while self._idle:
            session = self._idle.pop()
            if session.alive():
                return session
            session.close()
        connection = self._engine.raw_connection()
        driver = connection.dbapi_connection
        connection.detach()
        return self._kind(driver, self._spelled)

    def _roll_back(self, session: Session) -> None:
        try:
            session.connection.rollback()
        except self._engine.dialect.loaded_dbapi.Error:  # what is not committed is undone at the latest by its end
            session.close()
        else:
            self._idle.append(session)

    def _spelled(self, statement: sa.Executable) -> str:
        """The statement in the database's dialect, compiled once."""
        if statement not in self._texts:
            self._texts[statement] = str(sa.ClauseElement.compile(statement, self._engine))  # type: ignore[arg-type]
        return self._texts[statement]

    def _dispose(self, _engine: sa.Engine) -> None:
        while self._idle:
            self._idle.pop().close()
