"""A bound on what strangers can have written into the log."""

import logging
import time
from collections.abc import Callable


class Seldom(logging.Filter):
    """Lets at most `most` records pass in `seconds`; the last of them says that more are left out."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most, self._seconds, self._clock = most, seconds, clock
        self._began, self._passed = clock(), 0

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        if self._clock() - self._began > self._seconds:
            self._began, self._passed = self._clock(), 0
        self._passed += 1
        if self._passed == self._most:
            record.msg = f"{record.msg} (more of these are left out for up to {self._seconds:.0f} s)"
        return self._passed <= self._most
