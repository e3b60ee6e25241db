"""The log: append-only, durable on return, one gap-free order, versions per stream, a hash chain.

`EventLog` is the port, `SqlLog` keeps it in a database (services/database.py); services/memorylog.py is the fake that
passes the same contract (tests/contract).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from services import chain, database
from services.chain import Cause, Draft, Head
from services.database import events as events_table
from services.database import head as head_table
from services.database import leases as leases_table
from services.errors import BrokenLog, Conflict, LeaseLost
from services.events import Event, Recorded

PAGE = 1000
TAIL = 100


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to finish the work `work` (a trigger's event id), held by `holder` in its `attempt`th attempt."""

    work: str
    holder: str
    attempt: int


class EventLog(Protocol):
    """What every log guarantees, whatever keeps it."""

    def append(
        self,
        drafts: Sequence[Draft],
        cause: Cause,
        *,
        expect: Mapping[str, int] | None = None,
        claim: Lease | None = None,
        lease: Lease | None = None,
    ) -> list[Recorded[Event]]:
        """Record all of `drafts` or none, durably, and return them as they stand.

        `expect` names streams and the versions they must have (0: no such stream yet). `claim` gives its holder the
        lease in the same transaction; `lease` must still be held, and ends. Drafts whose ids stand in the log already
        are returned as they stand. Raises Conflict naming the current version, or LeaseLost; then nothing happened.
        """
        ...

    def read(self, after: int = 0, limit: int = PAGE) -> list[Recorded[Event]]:
        """At most `limit` events after the position `after`, in order."""
        ...

    def head(self) -> Head:
        """The end of the log."""
        ...

    def renew(self, lease: Lease) -> bool:
        """Show that the holder lives. False: the lease is another's by now."""
        ...

    def leases(self) -> dict[str, tuple[Lease, int]]:
        """Every lease by its work, with its beat: a number that changes whenever the holder renews."""
        ...

    def drop_leases(self) -> None:
        """Give up every lease: for the one process that knows that no holder lives."""
        ...


class SqlLog:
    """The log in a database."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], str] = chain.now) -> None:
        self._engine = engine
        self._clock = clock
        self._check_tail()

    def append(
        self,
        drafts: Sequence[Draft],
        cause: Cause,
        *,
        expect: Mapping[str, int] | None = None,
        claim: Lease | None = None,
        lease: Lease | None = None,
    ) -> list[Recorded[Event]]:
        """See EventLog.append."""
        with self._engine.begin() as connection:
            head = Head(*connection.execute(_HEAD_FOR_UPDATE).one())
            if known := _already(connection, drafts):
                return known
            versions = {s: _version(connection, s) for s in {d.stream for d in drafts} | set(expect or {})}
            check_versions(expect or {}, versions)
            if lease:
                _end_lease(connection, lease)
            rows = list(chain.make_rows(head, versions, drafts, cause, self._clock()))
            connection.execute(_INSERT, [dict(zip((*chain.COLUMNS, "hash"), row, strict=True)) for row in rows])
            connection.execute(head_table.update().values(position=rows[-1][0], hash=rows[-1][-1]))
            if claim:
                connection.execute(leases_table.delete().where(leases_table.c.work == claim.work))
                connection.execute(
                    leases_table.insert().values(work=claim.work, holder=claim.holder, attempt=claim.attempt, beat=0)
                )
        return [chain.recorded(row) for row in rows]

    def read(self, after: int = 0, limit: int = PAGE) -> list[Recorded[Event]]:
        """See EventLog.read."""
        return [chain.recorded(row) for row in self._rows(after, limit)]

    def head(self) -> Head:
        """See EventLog.head."""
        with self._reading() as connection:
            return Head(*connection.execute(_HEAD).one())

    def renew(self, lease: Lease) -> bool:
        """See EventLog.renew."""
        with self._engine.begin() as connection:
            return bool(connection.execute(_held(lease).values(beat=leases_table.c.beat + 1)).rowcount)

    def leases(self) -> dict[str, tuple[Lease, int]]:
        """See EventLog.leases."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(leases_table)).all()
        return {row.work: (Lease(row.work, row.holder, row.attempt), row.beat) for row in rows}

    def drop_leases(self) -> None:
        """See EventLog.drop_leases."""
        with self._engine.begin() as connection:
            connection.execute(leases_table.delete())

    def _reading(self) -> sa.Connection:
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def _rows(self, after: int, limit: int) -> list[chain.Row]:
        with self._reading() as connection:
            return [tuple(row) for row in connection.execute(_PAGE_AFTER, {"after": after, "limit": limit}).all()]

    def _check_tail(self) -> None:
        """Refuse a log whose end does not fit its head or its own hashes."""
        head = self.head()
        rows = self._rows(max(0, head.position - TAIL), TAIL + 1)
        if (rows[-1][0] if rows else 0) != head.position:
            raise BrokenLog(f"the log's head is {head.position}, but its last event is {rows[-1][0] if rows else 0}")
        check_chain(rows, chain.GENESIS if head.position <= TAIL else None)
        if rows and rows[-1][-1] != head.hash:
            raise BrokenLog(f"the log's event {head.position} is not the one that its head names")


def check_versions(expect: Mapping[str, int], versions: Mapping[str, int]) -> None:
    """Raise Conflict for the first stream whose version is not the expected one."""
    for stream, version in expect.items():
        current = versions.get(stream, 0)
        if current != version:
            raise Conflict(f"{stream} is at version {current}, not {version}")


def check_chain(rows: Sequence[chain.Row], before: str | None) -> None:
    """Raise BrokenLog naming the first row whose position or hash does not follow from the row before it.

    `before` is the hash before the first row; None takes the first row as it is.
    """
    last: int | None = None
    for row in rows:
        if last is not None and row[0] != last + 1:
            raise BrokenLog(f"the log has no event {last + 1}")
        if before is not None and chain.row_hash(before, row[:-1]) != row[-1]:
            raise BrokenLog(f"the log's event {row[0]} was changed: its hash does not follow from the one before")
        last, before = row[0], row[-1]


_HEAD = sa.select(head_table.c.position, head_table.c.hash)
_HEAD_FOR_UPDATE = _HEAD.with_for_update()
_INSERT = events_table.insert()
_ROW = [events_table.c[name] for name in (*chain.COLUMNS, "hash")]
_PAGE_AFTER = (
    sa.select(*_ROW)
    .where(events_table.c.position > sa.bindparam("after"))
    .order_by(events_table.c.position)
    .limit(sa.bindparam("limit"))
)
_VERSION = sa.select(sa.func.max(events_table.c.version)).where(events_table.c.stream == sa.bindparam("stream"))


def _version(connection: sa.Connection, stream: str) -> int:
    return int(connection.execute(_VERSION, {"stream": stream}).scalar() or 0)


def _already(connection: sa.Connection, drafts: Sequence[Draft]) -> list[Recorded[Event]]:
    """The events of `drafts` if they stand in the log; Conflict if only some do."""
    ids = [draft.id for draft in drafts]
    found = connection.execute(
        sa.select(*_ROW).where(events_table.c.id.in_(ids)).order_by(events_table.c.position)
    ).all()
    if found and len(found) != len(ids):
        raise Conflict(f"{len(found)} of {len(ids)} events stand in the log already")
    return [chain.recorded(tuple(row)) for row in found]


def _held(lease: Lease) -> Any:
    return leases_table.update().where(
        leases_table.c.work == lease.work,
        leases_table.c.holder == lease.holder,
        leases_table.c.attempt == lease.attempt,
    )


def _end_lease(connection: sa.Connection, lease: Lease) -> None:
    if not connection.execute(_held(lease).values(beat=leases_table.c.beat + 1)).rowcount:
        raise LeaseLost(f"attempt {lease.attempt} at {lease.work} was given up; its result is not recorded")
    connection.execute(leases_table.delete().where(leases_table.c.work == lease.work))


def open_log(url: str) -> tuple[SqlLog, sa.Engine]:
    """The log at a database URL, and the engine that the keyring shares. Raises BrokenLog (see database.connect)."""
    engine = database.connect(url)
    return SqlLog(engine), engine
