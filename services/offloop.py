"""Database calls in a thread of their own, so that a slow disk does not stop the door.

One call at a time: the libraries' locks are green by then, and green locks must not be contended between threads.
"""

from typing import Any, TypeVar

from eventlet import tpool
from eventlet.semaphore import Semaphore

T = TypeVar("T")


class OffLoop:
    """Wraps objects so that their methods run off the loop, one at a time over all that it wrapped."""

    def __init__(self) -> None:
        self._one = Semaphore(1)

    def wrap(self, target: T) -> T:
        """`target` behind calls that run off the loop."""
        wrapped: Any = _OffLoopCalls(target, self._one)
        return wrapped  # type: ignore[no-any-return]


class _OffLoopCalls:
    def __init__(self, target: object, one: Semaphore) -> None:
        self._target = target
        self._one = one

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._one:
                return tpool.execute(method, *args, **kwargs)

        return call
