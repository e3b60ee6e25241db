"""The log: append-only, durable on return, one gap-free order, versions per stream, a hash chain.

`EventLog` is the port, `SqlLog` keeps it in a database (services/database.py); services/memorylog.py is the fake that
passes the same contract (tests/contract).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import sqlalchemy as sa

from services import chain, database, statements
from services.chain import PAGE as PAGE
from services.chain import Cause, Draft, Head, checked_pages
from services.chain import check_chain as check_chain
from services.errors import BadInput, BrokenLog, Conflict, LeaseLost, Refused
from services.events import Event, Recorded
from services.transactions import Row, Session

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

    def rows(self, after: int = 0, limit: int = PAGE) -> list[Row]:
        """What `read` gives, as it is stored: chain.COLUMNS and the hash."""
        ...

    def adopt(self, rows: Iterable[Row], keys: Mapping[str, bytes]) -> Head:
        """Be the log that `rows` are, from its first event on, with the wrapped data keys of its apps.

        All or nothing, durably. Raises Refused unless it is empty, BrokenLog for rows that do not follow each other.
        """
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
        self._transactions = database.transactions(engine)
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
        check_batch(drafts, cause)
        expect = expect or {}
        names = {draft.stream for draft in drafts}.union(expect)
        streams, ids = _array(names), _array(draft.id for draft in drafts)
        with self._transactions.appending() as (session, heads):
            head = _head(heads)
            found = session.rows(statements.LOOK_UP, streams=streams, ids=ids)
            if known := _already(session, drafts, found):
                return known
            versions = {name: number or 0 for kind, name, number in found if kind == "stream"}
            check_versions(expect, versions)
            if lease and not session.change(statements.END_LEASE, **asdict(lease)):
                raise LeaseLost(f"attempt {lease.attempt} at {lease.work} was given up; its result is not recorded")
            rows = list(chain.make_rows(head, versions, drafts, cause, self._clock()))
            session.record(rows)
            if claim:
                session.change(statements.GIVE_LEASE, **asdict(claim))
        return [chain.recorded(row, draft.event) for row, draft in zip(rows, drafts, strict=True)]

    def read(self, after: int = 0, limit: int = PAGE) -> list[Recorded[Event]]:
        """See EventLog.read."""
        return [chain.recorded(row) for row in self.rows(after, limit)]

    def rows(self, after: int = 0, limit: int = PAGE) -> list[Row]:
        """See EventLog.rows."""
        return self._transactions.rows(statements.PAGE_AFTER, after=after, last=after + limit)

    def adopt(self, rows: Iterable[Row], keys: Mapping[str, bytes]) -> Head:
        """See EventLog.adopt."""
        with self._transactions.appending() as (session, heads):
            refuse_events(_head(heads))
            for page in checked_pages(rows):
                session.record(page)
            session.change(statements.DROP_KEYS)
            for app, wrapped in keys.items():
                session.change(statements.ADD_KEY, app=app, wrapped=wrapped)
            return _head(session.rows(statements.HEAD))

    def head(self) -> Head:
        """See EventLog.head."""
        return _head(self._transactions.rows(statements.HEAD))

    def renew(self, lease: Lease) -> bool:
        """See EventLog.renew."""
        return bool(self._transactions.change(statements.RENEW, **asdict(lease)))

    def leases(self) -> dict[str, tuple[Lease, int]]:
        """See EventLog.leases."""
        rows = self._transactions.rows(statements.LEASES)
        return {work: (Lease(work, holder, attempt), beat) for work, holder, attempt, beat in rows}

    def take(self, lease: Lease, over: tuple[Lease, int] | None) -> bool:
        """See EventLog.take."""
        if over is None:
            return bool(self._transactions.change(statements.TAKE, **asdict(lease)))
        before, beat = over
        held = {"old_holder": before.holder, "old_attempt": before.attempt, "old_beat": beat}
        return before.work == lease.work and bool(
            self._transactions.change(statements.TAKE_OVER, **asdict(lease), **held)
        )

    def release(self, lease: Lease) -> None:
        """See EventLog.release."""
        self._transactions.change(statements.END_LEASE, **asdict(lease))

    def drop_leases(self) -> None:
        """See EventLog.drop_leases."""
        self._transactions.change(statements.DROP_LEASES)

    def _check_tail(self) -> None:
        """Refuse a log whose end does not fit its head or its own hashes."""
        with self._transactions.reading() as session:  # one transaction: others may be appending
            head = _head(session.rows(statements.HEAD))
            start = max(0, head.position - TAIL)
            before = session.rows(statements.PAGE_AFTER, after=start - 1, last=start) if start else []
            rows = session.rows(statements.PAGE_AFTER, after=start, last=head.position + 1)
            last = session.rows(statements.LAST)[0][0] or 0
        if last != head.position:
            raise BrokenLog(f"the log's head is {head.position}, but its last event is {last}")
        check_chain(rows, Head(start, before[0][-1] if before else chain.GENESIS))
        if head.hash != (rows[-1][-1] if rows else chain.GENESIS):
            raise BrokenLog(f"the log's event {head.position} is not the one that its head names")


def check_batch(drafts: Sequence[Draft], cause: Cause) -> None:
    """Raise ValueError for what no log records: nothing, one event twice; BadInput for what no text column holds."""
    if not drafts or len({draft.id for draft in drafts}) != len(drafts):
        raise ValueError("an append holds at least one event, and each once")
    texts = [cause.source, cause.actor, cause.origin, cause.command, cause.correlationid, cause.causationid]
    for draft in drafts:
        texts += (draft.id, draft.stream, draft.subject)
    if "\0" in "".join(texts):
        raise BadInput("a text to be recorded has a NUL byte; allowed is text without")


def check_versions(expect: Mapping[str, int], versions: Mapping[str, int]) -> None:
    """Raise Conflict for the first stream whose version is not the expected one."""
    for stream, version in expect.items():
        current = versions.get(stream, 0)
        if current != version:
            raise Conflict(f"{stream} is at version {current}, not {version}", stream)


def refuse_events(head: Head) -> Head:
    """The head of an empty log. Raises Refused for another one."""
    if head.position:
        raise Refused(f"the log has events already, {head.position}; allowed is an instance that nothing was done with")
    return head


def _array(texts: Iterable[str]) -> str:
    return f"[{','.join(map(chain.canonical, texts))}]"


def _head(rows: Sequence[Row]) -> Head:
    if not rows:
        raise BrokenLog("the log has lost its head")
    return Head(*rows[0])


def _already(session: Session, drafts: Sequence[Draft], found: Sequence[Row]) -> list[Recorded[Event]]:
    """The events of `drafts` if they stand in the log, as statements.LOOK_UP found; Conflict if only some do."""
    known = [name for kind, name, position in found if kind == "id" and position]
    if known and len(known) != len(drafts):
        raise Conflict(f"{len(known)} of {len(drafts)} events stand in the log already")
    return [chain.recorded(row) for draft in drafts if known for row in session.rows(statements.BY_ID, id=draft.id)]


def open_log(url: str) -> tuple[SqlLog, sa.Engine]:
    """The log at a database URL, and the engine that the keyring shares. Raises BrokenLog (see database.connect)."""
    engine = database.connect(url)
    try:
        return SqlLog(engine), engine
    except BaseException:
        engine.dispose()
        raise
