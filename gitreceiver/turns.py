"""Keeps a key's commands that read much from taking the one thread on which all others are served.

They work one at a time, and after each piece of work the key rests for as long as that took.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cli import commands as commands  # entering every command into the table
from cli.parsing import named

READS_MUCH = {"logs", "events", "builds:output", "log:blame", "log:diff", "log:replay", "log:verify"}
LONGEST = 1.0
"""Seconds of a rest at most."""


class Turn:
    """One command's. It has its turn in the block `with turn:`, except for blocks `with turn.apart():` in it."""

    def __init__(
        self,
        lock: threading.Lock,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._lock, self._clock, self._sleep = lock, clock, sleep
        self._began = 0.0

    def __enter__(self) -> "Turn":
        self._lock.acquire()
        self._began = self._clock()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._sleep(min(LONGEST, self._clock() - self._began))
        finally:
            self._lock.release()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Let others have their turn while this command waits for its client, or for something to happen."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


class Turns:
    """The turns of all keys."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def of(self, actor: str, argv: Sequence[str]) -> Turn:
        """The turn of a command: one of its key's if it reads much, else its own. The local user is not hindered."""
        command = named(argv)
        much = command is not None and command.name in READS_MUCH
        much = much or any(word.partition("=")[0] == "--at" for word in argv)
        if not much or actor == "local":
            return Turn(threading.Lock(), sleep=lambda _: None)
        return Turn(self._locks[actor])
