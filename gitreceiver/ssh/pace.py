"""Keeps a client of many tiny packets from taking the one thread on which all others are served."""

from collections.abc import Callable

SLICE = 16 * 1024
"""Bytes that are taken in at once, and after which it is looked at what they took; they may come in many reads."""
DEAR = 0.0005
"""Seconds of the thread's time for a slice that make it a dear one. Files take about 0.0001, tiny packets 0.0015."""
WINDOW = 0.5
"""Seconds in which the reads of a slice must come: somebody who types is no flood."""


class Pace:
    """How long each key rests. All connections of one key rest one after the other.

    `times` is how many times as long as a dear slice took its key rests then. `clock` gives monotonic seconds.
    """

    def __init__(self, times: float, clock: Callable[[], float]) -> None:
        self._times = times
        self._clock = clock
        self._until: dict[str, float] = {}
        self._read: dict[str, tuple[float, int, float]] = {}

    def rest(self, key: str, size: int, took: float) -> float:
        """Seconds that a connection of `key` rests after a read of `size` bytes that took so many.

        0 unless it was the end of a dear slice.
        """
        now = self._clock()
        self._read = {each: read for each, read in self._read.items() if now - read[0] <= WINDOW}
        since, bytes_, seconds = self._read.pop(key, (now, 0, 0.0))
        bytes_, seconds = bytes_ + size, seconds + took
        if bytes_ < SLICE:
            self._read[key] = (since, bytes_, seconds)
            return 0.0
        if seconds < DEAR * bytes_ / SLICE:
            return 0.0
        self._until = {each: until for each, until in self._until.items() if until > now}
        self._until[key] = max(now, self._until.get(key, now)) + seconds * self._times
        return self._until[key] - now
