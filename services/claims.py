"""Claiming work, so that two holders never both finish it, and roles, so that only one process plays each.

Claiming is a `*.started` event of the next attempt on the work's stream, with a lease beside the log in the same
transaction. The holder renews the lease; whoever saw it unchanged for the time to live, by a clock of its own, may
claim again. The outcome's append is refused when the lease is another's by then. A role is a lease without an event.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from services.chain import Cause, Draft
from services.errors import Conflict, Unavailable
from services.eventlog import EventLog, Lease
from services.events import Claim, Event, Recorded, work_stream

MAX_ATTEMPTS = 5


class Claims:
    """One process's claims. `holder` names it, `ttl` is in seconds, `monotonic` measures it.

    `alone` says that no other process shares the log: then roles need no lease, and an idle instance writes nothing.
    """

    def __init__(
        self, log: EventLog, holder: str, ttl: float, monotonic: Callable[[], float], alone: bool = False
    ) -> None:
        self._log = log
        self._alone = alone
        self._holder = holder
        self._ttl = ttl
        self._monotonic = monotonic
        self._seen: dict[str, tuple[tuple[Lease, int], float, float]] = {}
        self._held: set[str] = set()

    def free(self, work: str) -> bool:
        """Whether nobody holds the work: no lease, one that this process no longer renews, or a silent holder's.

        A holder is silent when its row was seen unchanged for the time to live, by looks that came at least twice in
        that time: while the log, or this process, was away, the holder could not have been seen renewing.
        """
        row = self._log.leases().get(work)
        if row is None or (row[0].holder == self._holder and work not in self._held):
            self._seen.pop(work, None)
            return True
        now = self._monotonic()
        before, since, last = self._seen.get(work, (None, now, now))
        away = now - last > self._ttl / 2 and last - since < self._ttl  # whom we found silent is so until it renews
        if before != row or away:
            since = now
        self._seen[work] = row, since, now
        return now - since >= self._ttl

    def claim(
        self,
        trigger: Recorded[Event],
        started: Claim,
        attempt: int,
        source: str,
        beside: Sequence[Draft] = (),
        expect: Mapping[str, int] | None = None,
    ) -> Lease | None:
        """Claim the work that `trigger` asks for by recording `started`; None when another holder has it.

        `attempt` counts from 1 and is one more than the claims recorded so far; the work's stream must hold exactly
        what `attempt` says, else somebody was faster. What is `beside` is recorded with it, if the streams of `expect`
        have these versions still: None when not.
        """
        if not self.free(trigger.id):
            return None
        lease = Lease(trigger.id, self._holder, attempt)
        draft = Draft(work_stream(trigger.id), trigger.subject, started)
        expect = {draft.stream: attempt - 1, **(expect or {})}
        try:
            self._log.append([draft, *beside], Cause.after(source, trigger), expect=expect, claim=lease)
        except Conflict:
            return None
        return lease

    @contextmanager
    def renewing(self, lease: Lease) -> Iterator[None]:
        """Keep `lease` while the block runs, by renewing it four times in its time to live."""
        done = threading.Event()

        def renew() -> None:
            try:
                while not done.wait(self._ttl / 4) and self._renew(lease):
                    pass
            finally:  # whatever ended it, nobody is to believe that the lease is renewed
                self._held.discard(lease.work)

        thread = threading.Thread(target=renew, name=f"lease {lease.work}", daemon=True)
        self._held.add(lease.work)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._held.discard(lease.work)

    @contextmanager
    def playing(self, role: str) -> Iterator[Callable[[], bool]]:
        """Wait until this process has the role, and keep it while the block runs.

        The block is given a function that tells whether it still has it; another process takes over when this one was
        silent for the time to live. A log that does not answer changes nobody's role.
        """
        if self._alone:
            yield lambda: True
            return
        while (lease := self._take(f"role/{role}")) is None:
            time.sleep(self._ttl / 4)
        try:
            with self.renewing(lease):
                yield lambda: lease.work in self._held
        finally:
            with suppress(Unavailable):  # then it expires
                self._log.release(lease)

    def _take(self, role: str) -> Lease | None:
        try:
            if not self.free(role):
                return None
            row = self._log.leases().get(role)
            lease = Lease(role, self._holder, row[0].attempt + 1 if row else 1)
            return lease if self._log.take(lease, row) else None
        except Unavailable:
            return None

    def _renew(self, lease: Lease) -> bool:
        """Whether the lease is still ours, as far as is known: a log that does not answer may answer the next time."""
        try:
            return self._log.renew(lease)
        except Unavailable:
            return True
