"""The log in a database of PostgreSQL's, for many processes. One role owns the tables, another one appends."""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.abc import PQGen
from psycopg.pq import ConnStatus, TransactionStatus
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.pool import QueuePool

from services.errors import BrokenLog, PushlogError, Unavailable
from services.schema import prepare_tables, refuse_unprepared
from services.tables import Number, events
from services.transactions import Row, Session

T = TypeVar("T")

CONNECT = 4
"""Seconds that a server may take to let us in."""
ANSWER = 8.0
"""Seconds that a server may say nothing."""
KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
SESSION = {
    "statement_timeout": "7s",
    "lock_timeout": "6s",
    "idle_in_transaction_session_timeout": "4s",  # a process that is stopped in an append does not stop the others
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # statistics lag behind a table that grows: no plan may look for one event by reading them all
    "enable_seqscan": "off",
    "jit": "off",
}
SAFE = ("fsync", "full_page_writes", "synchronous_commit")

_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_APPENDING = "BEGIN; SELECT position, hash FROM head FOR UPDATE"
_VALUES = ", ".join(
    f"(row ->> {n})::bigint" if column.type is Number else f"row ->> {n}" for n, column in enumerate(events.c)
)
_RECORD = f"""WITH moved AS (UPDATE head SET position = %(position)s, hash = %(hash)s)
    INSERT INTO events SELECT {_VALUES} FROM jsonb_array_elements(%(rows)s::jsonb) AS row"""  # noqa: S608


class Connection(psycopg.Connection[Any]):
    """A connection that gives up on a server that says nothing for ANSWER seconds, as one that is stopped does."""

    ended = False

    def alive(self) -> bool:
        """See Session.alive: a server that ended the session has said so, or closed the connection."""
        try:
            self.pgconn.consume_input()
            self.pgconn.is_busy()  # gives what the server may have said since to the notice handler
        except psycopg.OperationalError:
            return False
        return not self.ended and self.pgconn.status == ConnStatus.OK

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """See psycopg.Connection."""
        try:
            return super().wait(gen, interval, ANSWER if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            self.close()  # nobody knows what the answer would be to
            raise psycopg.OperationalError(f"the server said nothing for {ANSWER:g} s") from error


class PostgresSession(Session):
    """See Session."""

    def begin_reading(self) -> None:
        """See Session."""
        self.cursor.execute(_BEGIN_READING)

    def begin_appending(self) -> list[Row]:
        """See Session."""
        # in one go, as queries without parameters can be; after a pipeline, which would save more, PostgreSQL 15 does
        # not end a session that is idle in its transaction, and a process that was stopped there would stop all others
        self.cursor.execute(_BEGIN_APPENDING)
        self.cursor.nextset()
        rows: list[Row] = self.cursor.fetchall()
        return rows

    def record(self, rows: Sequence[Row]) -> None:
        """See Session."""
        text = json.dumps(rows, ensure_ascii=False)
        self.cursor.execute(_RECORD, {"position": rows[-1][0], "hash": rows[-1][-1], "rows": text})

    def alive(self) -> bool:
        """See Session."""
        return bool(self.connection.alive())

    @staticmethod
    def ours(error: BaseException) -> PushlogError | None:
        """See Session."""
        if not isinstance(error, psycopg.Error):
            return None
        said, state = _sentence(error), error.sqlstate or ""
        if state in ("42501", "42P01") or state[:2] == "23" or (state[:2] == "XX" and state != "XX000"):
            return BrokenLog(f"the log's database cannot be used: {said}")
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)):
            return Unavailable(f"the log's database: {said}")
        return None


def connect(url: sa.URL) -> sa.Engine:
    """See database.connect."""
    with _open(url) as connection:
        refuse_unprepared(connection)
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: _open(url),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=8,
        use_native_hstore=False,
    )
    sa.event.listen(engine, "checkout", _check_out)
    sa.event.listen(engine, "begin", _begin)
    sa.event.listen(engine, "handle_error", _translate)
    return engine


def prepare(owner: sa.URL, role: str) -> None:
    """See database.prepare."""
    try:
        with _open(owner) as connection, connection.transaction():
            prepare_tables(connection, role)
    except psycopg.Error as error:
        if translated := PostgresSession.ours(error):
            raise translated from None
        raise


def _open(url: sa.URL) -> Connection:
    """A connection that is safe to append on, in autocommit."""
    _, given = dialect().create_connect_args(url)  # type: ignore[no-untyped-call]
    arguments: dict[str, Any] = {"connect_timeout": CONNECT, **KEEPALIVE, **given, "client_encoding": "utf8"}
    try:
        connection = Connection.connect(**arguments, autocommit=True)
    except psycopg.OperationalError as error:
        raise Unavailable(f"the log's database: {_sentence(error)}") from None
    except psycopg.Error as error:
        raise BrokenLog(f"the log's database URL cannot be used: {_sentence(error)}") from None
    try:
        safe, encoding = _set_up(connection)
        if "off" in safe:
            found = " ".join(f"{name}={value}" for name, value in zip(SAFE, safe, strict=True))
            raise BrokenLog(f"PostgreSQL runs with {found}; the log needs each to be on")
        if encoding != "UTF8":
            raise BrokenLog(f"the log's database has the encoding {encoding}; the log needs UTF8")
    except psycopg.Error as error:
        connection.close()
        raise Unavailable(f"the log's database: {_sentence(error)}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: Connection) -> tuple[tuple[str, ...], str]:
    """Set what SESSION says; returns how the server has what SAFE names, and its encoding."""

    def notice(said: psycopg.errors.Diagnostic) -> None:
        connection.ended |= said.severity_nonlocalized == "FATAL"

    connection.add_notice_handler(notice)
    wanted = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in SESSION.items())
    asked = ", ".join(f"current_setting('{name}')" for name in (*SAFE, "server_encoding"))
    # and what is safe now stays so for this session
    kept = "set_config('synchronous_commit', current_setting('synchronous_commit'), false)"
    [row] = connection.execute(f"SELECT {asked}, {kept}, {wanted}".encode())
    return row[: len(SAFE)], row[len(SAFE)]


def _sentence(error: psycopg.Error) -> str:
    """What the server or the driver says, without its hints, and of several attempts the last."""
    if error.diag.message_primary:
        return error.diag.message_primary
    lines = [line.removeprefix("- ") for line in str(error).splitlines() if line and not line.startswith("\t")]
    return lines[-1] if lines else type(error).__name__


def _check_out(connection: Connection, _record: Any, _proxy: Any) -> None:
    if not connection.alive():
        raise sa.exc.DisconnectionError  # the pool gives another


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _translate(context: sa.engine.ExceptionContext) -> None:
    if translated := PostgresSession.ours(context.original_exception):
        raise translated from context.original_exception
