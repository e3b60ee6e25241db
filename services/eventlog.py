"""The log: append-only, durable on return, one gap-free order, versions per stream, a hash chain.

`EventLog` is the port, `SqlLog` keeps it in a database (services/database.py); services/memorylog.py is the fake that
passes the same contract (tests/contract).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import sqlalchemy as sa

from services import chain, database
from services.chain import Cause, Draft, Head
from services.database import events as events_table
from services.database import head as head_table
from services.database import leases as leases_table
from services.errors import BrokenLog, Conflict, LeaseLost
from services.events import Event, Recorded
from services.transactions import Transaction, Transactions

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
        No drafts, or two with one id, are a mistake of the caller: ValueError.
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

    def take(self, lease: Lease, over: tuple[Lease, int] | None) -> bool:
        """Give `lease` to its holder without an event, if the work's row in `leases()` is `over` (None: no row).

        False: it is another one by now, and nothing happened.
        """
        ...

    def release(self, lease: Lease) -> None:
        """Give the lease up, if it is still held."""
        ...

    def drop_leases(self) -> None:
        """Give up every lease: for the one process that knows that no holder lives."""
        ...


class SqlLog:
    """The log in a database."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], str] = chain.now) -> None:
        self._transactions = Transactions(engine)
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
        check_batch(drafts)
        expect = expect or {}
        with self._transactions.writing() as t:
            head = _head(t, _HEAD_FOR_UPDATE)
            if known := _already(t, drafts):
                return known
            versions = {stream: _version(t, stream) for stream in {d.stream for d in drafts} | set(expect)}
            check_versions(expect, versions)
            if lease and not t.change(_END_LEASE, asdict(lease)):
                raise LeaseLost(f"attempt {lease.attempt} at {lease.work} was given up; its result is not recorded")
            rows = list(chain.make_rows(head, versions, drafts, cause, self._clock()))
            t.change(_INSERT, *(dict(zip(_NAMES, row, strict=True)) for row in rows))
            t.change(_MOVE_HEAD, {"to": rows[-1][0], "with_hash": rows[-1][-1]})
            if claim:
                t.change(_GIVE_LEASE, asdict(claim))
        return [chain.recorded(row, draft.event) for row, draft in zip(rows, drafts, strict=True)]

    def read(self, after: int = 0, limit: int = PAGE) -> list[Recorded[Event]]:
        """See EventLog.read."""
        with self._transactions.reading() as t:
            rows = _rows(t, after, limit)
        return [chain.recorded(row) for row in rows]

    def head(self) -> Head:
        """See EventLog.head."""
        with self._transactions.reading() as t:
            return _head(t, _HEAD)

    def renew(self, lease: Lease) -> bool:
        """See EventLog.renew."""
        with self._transactions.writing() as t:
            return bool(t.change(_RENEW, asdict(lease)))

    def leases(self) -> dict[str, tuple[Lease, int]]:
        """See EventLog.leases."""
        with self._transactions.reading() as t:
            return {work: (Lease(work, holder, attempt), beat) for work, holder, attempt, beat in t.rows(_LEASES)}

    def take(self, lease: Lease, over: tuple[Lease, int] | None) -> bool:
        """See EventLog.take."""
        with self._transactions.writing() as t:
            if over is None:
                return bool(t.change(_TAKE, asdict(lease)))
            before, beat = over
            held = {"old_holder": before.holder, "old_attempt": before.attempt, "old_beat": beat}
            return before.work == lease.work and bool(t.change(_TAKE_OVER, {**asdict(lease), **held}))

    def release(self, lease: Lease) -> None:
        """See EventLog.release."""
        with self._transactions.writing() as t:
            t.change(_END_LEASE, asdict(lease))

    def drop_leases(self) -> None:
        """See EventLog.drop_leases."""
        with self._transactions.writing() as t:
            t.change(_DROP_LEASES, {})

    def _check_tail(self) -> None:
        """Refuse a log whose end does not fit its head or its own hashes."""
        with self._transactions.reading() as t:  # one transaction: others may be appending
            head = _head(t, _HEAD)
            start = max(0, head.position - TAIL)
            before = _rows(t, start - 1, 1) if start else []
            rows = _rows(t, start, TAIL)
            last = t.rows(_LAST)[0][0] or 0
        if last != head.position:
            raise BrokenLog(f"the log's head is {head.position}, but its last event is {last}")
        check_chain(rows, Head(start, before[0][-1] if before else chain.GENESIS))
        if head.hash != (rows[-1][-1] if rows else chain.GENESIS):
            raise BrokenLog(f"the log's event {head.position} is not the one that its head names")


def check_batch(drafts: Sequence[Draft]) -> None:
    """Raise ValueError for what no log records: nothing, or one event twice."""
    if not drafts or len({draft.id for draft in drafts}) != len(drafts):
        raise ValueError("an append holds at least one event, and each once")


def check_versions(expect: Mapping[str, int], versions: Mapping[str, int]) -> None:
    """Raise Conflict for the first stream whose version is not the expected one."""
    for stream, version in expect.items():
        current = versions.get(stream, 0)
        if current != version:
            raise Conflict(f"{stream} is at version {current}, not {version}")


def check_chain(rows: Iterable[chain.Row], before: Head) -> None:
    """Raise BrokenLog naming the first of `rows` whose position or hash does not follow from the one before it.

    `before` is the event before the first row; Head(0, GENESIS) where the log begins.
    """
    for row in rows:
        if row[0] != before.position + 1:
            raise BrokenLog(f"the log has no event {before.position + 1}")
        if chain.row_hash(before.hash, row[:-1]) != row[-1]:
            raise BrokenLog(f"the log's event {row[0]} was changed: its hash does not follow from the one before")
        before = Head(row[0], row[-1])


_NAMES = (*chain.COLUMNS, "hash")
_ROW = [events_table.c[name] for name in _NAMES]
_HEAD = sa.select(head_table.c.position, head_table.c.hash)
_HEAD_FOR_UPDATE = _HEAD.with_for_update()
_MOVE_HEAD = head_table.update().values(position=sa.bindparam("to"), hash=sa.bindparam("with_hash"))
_LAST = sa.select(sa.func.max(events_table.c.position))
_INSERT = events_table.insert()
_PAGE_AFTER = (
    sa.select(*_ROW)
    .where(events_table.c.position > sa.bindparam("after"), events_table.c.position <= sa.bindparam("last"))
    .order_by(events_table.c.position)
)
_BY_ID = sa.select(*_ROW).where(events_table.c.id == sa.bindparam("id"))
_VERSION = sa.select(sa.func.max(events_table.c.version)).where(events_table.c.stream == sa.bindparam("stream"))
_THE_LEASE = [leases_table.c[name] == sa.bindparam(name) for name in ("work", "holder", "attempt")]
_LEASES = sa.select(leases_table)
_GIVE_LEASE = sa.text(
    "INSERT INTO leases (work, holder, attempt, beat) VALUES (:work, :holder, :attempt, 0)"
    " ON CONFLICT (work) DO UPDATE SET holder = excluded.holder, attempt = excluded.attempt, beat = 0"
)
_TAKE = sa.text(
    "INSERT INTO leases (work, holder, attempt, beat) VALUES (:work, :holder, :attempt, 0) ON CONFLICT DO NOTHING"
)
_TAKE_OVER = sa.text(
    "UPDATE leases SET holder = :holder, attempt = :attempt, beat = beat + 1"
    " WHERE work = :work AND holder = :old_holder AND attempt = :old_attempt AND beat = :old_beat"
)
_RENEW = leases_table.update().where(*_THE_LEASE).values(beat=leases_table.c.beat + sa.text("1"))
_END_LEASE = leases_table.delete().where(*_THE_LEASE)
_DROP_LEASES = leases_table.delete()


def _head(t: Transaction, query: sa.Executable) -> Head:
    rows = t.rows(query)
    if not rows:
        raise BrokenLog("the log has lost its head")
    return Head(*rows[0])


def _rows(t: Transaction, after: int, limit: int) -> list[chain.Row]:
    return t.rows(_PAGE_AFTER, after=after, last=after + limit)


def _version(t: Transaction, stream: str) -> int:
    return t.rows(_VERSION, stream=stream)[0][0] or 0


def _already(t: Transaction, drafts: Sequence[Draft]) -> list[Recorded[Event]]:
    """The events of `drafts` if they stand in the log; Conflict if only some do."""
    found = [row for draft in drafts for row in t.rows(_BY_ID, id=draft.id)]
    if found and len(found) != len(drafts):
        raise Conflict(f"{len(found)} of {len(drafts)} events stand in the log already")
    return [chain.recorded(row) for row in found]


def open_log(url: str) -> tuple[SqlLog, sa.Engine]:
    """The log at a database URL, and the engine that the keyring shares. Raises BrokenLog (see database.connect)."""
    engine = database.connect(url)
    try:
        return SqlLog(engine), engine
    except BaseException:
        engine.dispose()
        raise
