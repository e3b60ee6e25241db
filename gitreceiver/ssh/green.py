"""What callbacks of the hub, which never block, and green threads, which do, use to wait for each other."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import eventlet
from eventlet.event import Event

T = TypeVar("T")


class Bell:
    """Wakes every green thread that waits; may be rung from the hub."""

    def __init__(self) -> None:
        self._event = Event()

    def ring(self) -> None:
        """Wake who waits now."""
        event, self._event = self._event, Event()
        event.send()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the next ring, at most `seconds`."""
        with eventlet.Timeout(seconds, False):
            self._event.wait()


async def in_green(call: Callable[..., T], *args: object) -> T:
    """Await the blocking `call` in a green thread."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def run() -> None:
        try:
            result = call(*args)
        except Exception as error:
            if not future.done():  # the await below raises it
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    eventlet.spawn_n(run)
    return await future
