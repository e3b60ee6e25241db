"""Claiming work, so that two holders never both finish it.

Claiming is a `*.started` event of the next attempt on the work's stream, with a lease beside the log in the same
transaction. The holder renews the lease; whoever saw it unchanged for the time to live, by a clock of its own, may
claim again. The outcome's append is refused when the lease is another's by then.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.chain import Cause, Draft
from services.errors import Conflict, Unavailable
from services.eventlog import EventLog, Lease
from services.events import Event, Recorded, work_stream

MAX_ATTEMPTS = 5


class Claims:
    """One process's claims. `holder` names it, `ttl` is in seconds, `monotonic` measures it."""

    def __init__(self, log: EventLog, holder: str, ttl: float, monotonic: Callable[[], float]) -> None:
        self._log = log
        self._holder = holder
        self._ttl = ttl
        self._monotonic = monotonic
        self._seen: dict[str, tuple[Lease, int, float]] = {}
        self._held: set[str] = set()

    def free(self, work: str) -> bool:
        """Whether nobody holds the work: no lease, one that this process no longer renews, or a silent holder's."""
        row = self._log.leases().get(work)
        if row is None or (row[0].holder == self._holder and work not in self._held):
            self._seen.pop(work, None)
            return True
        seen = self._seen.get(work)
        if seen is None or seen[:2] != row:
            self._seen[work] = (*row, self._monotonic())
            return False
        return self._monotonic() - seen[2] >= self._ttl

    def claim(self, trigger: Recorded[Event], started: Event, attempt: int, source: str) -> Lease | None:
        """Claim the work that `trigger` asks for by recording `started`; None when another holder has it.

        `attempt` counts from 1 and is one more than the claims recorded so far; the work's stream must hold exactly
        what `attempt` says, else somebody was faster.
        """
        if not self.free(trigger.id):
            return None
        lease = Lease(trigger.id, self._holder, attempt)
        draft = Draft(work_stream(trigger.id), trigger.subject, started)
        try:
            self._log.append([draft], Cause.after(source, trigger), expect={draft.stream: attempt - 1}, claim=lease)
        except Conflict:
            return None
        return lease

    @contextmanager
    def renewing(self, lease: Lease) -> Iterator[None]:
        """Keep `lease` while the block runs, by renewing it four times in its time to live."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self._ttl / 4) and self._renew(lease):
                pass

        thread = threading.Thread(target=renew, name=f"lease {lease.work}", daemon=True)
        self._held.add(lease.work)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._held.discard(lease.work)

    def _renew(self, lease: Lease) -> bool:
        """Whether the lease is still ours, as far as is known: a log that does not answer may answer the next time."""
        try:
            return self._log.renew(lease)
        except Unavailable:
            return True
