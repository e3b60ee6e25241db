"""Keeps a client of many tiny packets from taking the one thread on which all others are served."""

from collections.abc import Callable

SLICE = 16 * 1024
"""Bytes that are taken in at once."""
DEAR = 0.0005
"""Seconds of the thread's time for a slice that make it a dear one. Files take about 0.0001, tiny packets 0.0015."""


class Pace:
    """How long each key rests. All connections of one key rest one after the other.

    `times` is how many times as long as a dear slice took its key rests then. `clock` gives monotonic seconds.
    """

    def __init__(self, times: float, clock: Callable[[], float]) -> None:
        self._times = times
        self._clock = clock
        self._until: dict[str, float] = {}

    def rest(self, key: str, took: float) -> float:
        """Seconds that a connection of `key` rests after a slice that took so many; 0 unless it was a dear one."""
        if took < DEAR:
            return 0.0
        now = self._clock()
        self._until = {each: until for each, until in self._until.items() if until > now}
        self._until[key] = max(now, self._until.get(key, now)) + took * self._times
        return self._until[key] - now
