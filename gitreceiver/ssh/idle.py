"""Ends a connection on which nothing runs for too long."""

import asyncio
import math
import time
from collections.abc import Callable

SETTLED = 1.0
"""Seconds after which a connection that runs nothing may go for another one: before, it is about to run something."""


class Idle:
    """Calls `end` with the reason when a time of idling lasts."""

    def __init__(self, end: Callable[[str], None]) -> None:
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._since = math.inf

    def begin(self, seconds: float) -> None:
        """Nothing runs from now on; it may last for `seconds`."""
        self.stop()
        self._since = time.monotonic()
        self._timer = self._loop.call_later(seconds, self._end, f"no command ran for {seconds:g} seconds")

    def stop(self) -> None:
        """Something runs, or all is over."""
        self._since = math.inf
        if self._timer:
            self._timer.cancel()

    @property
    def lasts(self) -> bool:
        """Whether nothing has run for a moment."""
        return time.monotonic() > self._since + SETTLED
