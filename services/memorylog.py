"""The log in memory: the fake for tests of plain functions. It passes the contract of the real ones."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from services import chain
from services.chain import PAGE, Cause, Draft, Head, checked_pages
from services.errors import Conflict, LeaseLost
from services.eventlog import Lease, check_batch, check_versions, refuse_events
from services.events import Event, Recorded


class MemoryLog:
    """See EventLog."""

    def __init__(self, clock: Callable[[], str] = chain.now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: list[chain.Row] = []
        self._leases: dict[str, tuple[Lease, int]] = {}

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
        with self._lock:
            if known := self._already(drafts):
                return known
            versions = self._versions()
            check_versions(expect or {}, versions)
            if lease and not self._holds(lease):
                raise LeaseLost(f"attempt {lease.attempt} at {lease.work} was given up; its result is not recorded")
            rows = list(chain.make_rows(self.head(), versions, drafts, cause, self._clock()))
            self._rows += rows
            if lease:
                del self._leases[lease.work]
            if claim:
                self._leases[claim.work] = claim, 0
        return [chain.recorded(row) for row in rows]

    def read(self, after: int = 0, limit: int = PAGE) -> list[Recorded[Event]]:
        """See EventLog.read."""
        return [chain.recorded(row) for row in self.rows(after, limit)]

    def rows(self, after: int = 0, limit: int = PAGE) -> list[chain.Row]:
        """See EventLog.rows."""
        return self._rows[after : after + limit]

    def adopt(self, rows: Iterable[chain.Row], keys: Mapping[str, bytes]) -> Head:
        """See EventLog.adopt. There is no keyring beside it."""
        with self._lock:
            refuse_events(self.head())
            self._rows = [row for page in checked_pages(rows) for row in page]
            return self.head()

    def head(self) -> Head:
        """See EventLog.head."""
        return Head(self._rows[-1][0], self._rows[-1][-1]) if self._rows else Head(0, chain.GENESIS)

    def renew(self, lease: Lease) -> bool:
        """See EventLog.renew."""
        with self._lock:
            if not self._holds(lease):
                return False
            self._leases[lease.work] = lease, self._leases[lease.work][1] + 1
            return True

    def leases(self) -> dict[str, tuple[Lease, int]]:
        """See EventLog.leases."""
        return dict(self._leases)

    def take(self, lease: Lease, over: tuple[Lease, int] | None) -> bool:
        """See EventLog.take."""
        with self._lock:
            if self._leases.get(lease.work) != over:
                return False
            self._leases[lease.work] = lease, over[1] + 1 if over else 0
            return True

    def release(self, lease: Lease) -> None:
        """See EventLog.release."""
        with self._lock:
            if self._holds(lease):
                del self._leases[lease.work]

    def drop_leases(self) -> None:
        """See EventLog.drop_leases."""
        self._leases.clear()

    def _already(self, drafts: Sequence[Draft]) -> list[Recorded[Event]]:
        stored = {row[1]: row for row in self._rows}
        found = [stored[draft.id] for draft in drafts if draft.id in stored]
        if found and len(found) != len(drafts):
            raise Conflict(f"{len(found)} of {len(drafts)} events stand in the log already")
        return [chain.recorded(row) for row in found]

    def _holds(self, lease: Lease) -> bool:
        return self._leases.get(lease.work, (None, 0))[0] == lease

    def _versions(self) -> dict[str, int]:
        return {row[2]: row[3] for row in self._rows}
