"""The log in memory: the fake for tests of plain functions. It passes the contract of the real ones."""

from collections.abc import Callable, Mapping, Sequence

from services import chain
from services.chain import Cause, Draft, Head
from services.errors import Conflict, LeaseLost
from services.eventlog import PAGE, Lease, check_versions
from services.events import Event, Recorded


class MemoryLog:
    """See EventLog."""

    def __init__(self, clock: Callable[[], str] = chain.now) -> None:
        self._clock = clock
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
        ids = {draft.id for draft in drafts}
        known = [row for row in self._rows if row[1] in ids]
        if known and len(known) != len(ids):
            raise Conflict(f"{len(known)} of {len(ids)} events stand in the log already")
        if known:
            return [chain.recorded(row) for row in known]
        versions = self._versions()
        check_versions(expect or {}, versions)
        if lease:
            if not self._holds(lease):
                raise LeaseLost(f"attempt {lease.attempt} at {lease.work} was given up; its result is not recorded")
            del self._leases[lease.work]
        rows = list(chain.make_rows(self.head(), versions, drafts, cause, self._clock()))
        self._rows += rows
        if claim:
            self._leases[claim.work] = claim, 0
        return [chain.recorded(row) for row in rows]

    def read(self, after: int = 0, limit: int = PAGE) -> list[Recorded[Event]]:
        """See EventLog.read."""
        return [chain.recorded(row) for row in self._rows[after : after + limit]]

    def head(self) -> Head:
        """See EventLog.head."""
        return Head(self._rows[-1][0], self._rows[-1][-1]) if self._rows else Head(0, chain.GENESIS)

    def renew(self, lease: Lease) -> bool:
        """See EventLog.renew."""
        if not self._holds(lease):
            return False
        self._leases[lease.work] = lease, self._leases[lease.work][1] + 1
        return True

    def leases(self) -> dict[str, tuple[Lease, int]]:
        """See EventLog.leases."""
        return dict(self._leases)

    def drop_leases(self) -> None:
        """See EventLog.drop_leases."""
        self._leases.clear()

    def _holds(self, lease: Lease) -> bool:
        return self._leases.get(lease.work, (None, 0))[0] == lease

    def _versions(self) -> dict[str, int]:
        return {row[2]: row[3] for row in self._rows}
