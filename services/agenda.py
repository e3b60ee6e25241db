"""When a process does which item of a hop: so many at once, again after a pause, and how often before it is given up.

Knows the log's fold and a clock, and no bus: services/hops.py runs what is taken from here.
"""

import time
from collections.abc import Callable

from services.claims import MAX_ATTEMPTS, Claims
from services.events import Event, Recorded
from services.todo import Pending

BACK_OFF = (0.5, 1, 2, 5, 10, 30)
TRIES = 9
"""Failures in a row after which a hop gives an item up: eight pauses, together 108.5 s."""
LOOK = 30.0
AWAY = 3


class Agenda:
    """One hop's items in this process. Items of one app go one after the other in the log's order if `ordered`.

    At most `limit` run at once, and where that is more than one, one fewer for the same actor: whoever asks for however
    much leaves a place to others. What another process has claimed, or what waits, is neither done nor failed here: it
    takes no place, and is looked at again after news of it, and within a quarter of `lease`, the seconds after
    which a silent holder has lost it.
    """

    def __init__(
        self,
        pending: Pending,
        claims: Claims,
        limit: int,
        lease: float,
        ordered: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pending = pending
        self._claims = claims
        self._limit = limit
        self._lease = lease
        self._ordered = ordered
        self._monotonic = monotonic
        self._running: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._again: dict[str, float] = {}
        self._heard: dict[str, int] = {}

    def take(self) -> list[Recorded[Event]]:
        """The items to begin now. Each runs until `returned`, `failed` or `dropped` is told of it.

        Raises Unavailable when the log does not say who has what was begun.
        """
        self._forget()
        found = self._pending.heads() if self._ordered else list(self._pending.items.values())
        ready = [event for event in found if event.id not in self._running and self._due(event)]
        taken = [event for event in ready if self._begins(event)]
        self._heard |= {event.id: self._pending.heard.get(event.id, 0) for event in taken}
        return taken

    def rest(self) -> float:
        """Seconds until something may be due by itself, at most LOOK."""
        now = self._monotonic()
        return min((again - now for again in self._again.values() if again > now), default=LOOK)

    def dropped(self, event: Recorded[Event]) -> None:
        """The item was taken and not begun."""
        self._running.pop(event.id, None)

    def returned(self, event: Recorded[Event]) -> None:
        """The item was done, or found to be another holder's or to wait for something: then it is pending still."""
        self._running.pop(event.id, None)
        self._failures.pop(event.id, None)
        self._wait(event, self._lease / 4)

    def failed(self, event: Recorded[Event], counts: bool = True) -> int:
        """The item failed; returns how often in a row, this time included unless it does not count."""
        self._running.pop(event.id, None)
        tries = self._failures[event.id] = self._failures.get(event.id, 0) + counts
        self._wait(event, BACK_OFF[min(max(tries, 1 if counts else AWAY), len(BACK_OFF)) - 1])
        return tries

    def spent(self, event: Recorded[Event]) -> bool:
        """Whether the item failed, or was claimed, so often that it is to be given up."""
        return self._failures.get(event.id, 0) >= TRIES or self._pending.attempts(event) >= MAX_ATTEMPTS

    def _begins(self, event: Recorded[Event]) -> bool:
        """Note that an item runs from now on, if there is a place for it."""
        own = sum(actor == event.actor for actor in self._running.values())
        if len(self._running) >= self._limit or own >= max(1, self._limit - 1):
            return False
        self._running[event.id] = event.actor
        return True

    def _due(self, event: Recorded[Event]) -> bool:
        heard = self._pending.heard.get(event.id, 0)
        if self._again.get(event.id, 0) > self._monotonic() and heard <= self._heard.get(event.id, 0):
            return False
        if self._pending.attempts(event) and not self._claims.free(event.id):
            self._wait(event, self._lease / 4)
            return False
        return True

    def _wait(self, event: Recorded[Event], seconds: float) -> None:
        self._again[event.id] = self._monotonic() + seconds

    def _forget(self) -> None:
        """Nothing is kept of what is no longer to be done."""
        for kept in (self._failures, self._again, self._heard):
            for gone in [id_ for id_ in kept if id_ not in self._pending.items]:
                del kept[gone]
