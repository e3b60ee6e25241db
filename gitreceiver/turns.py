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
STUCK = 0.5
"""Seconds after which a command is taken to wait for something, such as Docker, and the next one has its turn."""


class Place:
    """What the commands of one key have turns at: who works there, and since when."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._changed = threading.Condition()
        self._worker: Turn | None = None
        self._since = 0.0

    @property
    def taken(self) -> bool:
        """Whether somebody works there who is not stuck."""
        return self._worker is not None and self.clock() - self._since < STUCK

    def take(self, turn: "Turn") -> None:
        """Wait until nobody works there, or who does is stuck."""
        with self._changed:
            while self.taken:
                self._changed.wait(STUCK)
            self._worker, self._since = turn, self.clock()

    def worked(self, turn: "Turn") -> float | None:
        """The seconds since `turn` took the place, where its rest begins; None when another one has it by now."""
        with self._changed:
            if self._worker is not turn:
                return None
            began, self._since = self._since, self.clock()
            return self._since - began

    def leave(self, turn: "Turn") -> None:
        """Let the next one work, unless it does already."""
        with self._changed:
            if self._worker is turn:
                self._worker = None
                self._changed.notify()


class Turn:
    """One command's. It has its turn in the block `with turn:`, except for blocks `with turn.apart():` in it."""

    def __init__(self, place: Place, sleep: Callable[[float], None] = time.sleep) -> None:
        self.place, self._sleep = place, sleep

    def __enter__(self) -> "Turn":
        self.place.take(self)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if (seconds := self.place.worked(self)) is not None:
                self._sleep(min(LONGEST, seconds))
        finally:
            self.place.leave(self)

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
        self._places: defaultdict[str, Place] = defaultdict(Place)

    def of(self, actor: str, argv: Sequence[str]) -> Turn:
        """The turn of a command: one of its key's if it reads much, else its own. The local user is not hindered."""
        command = named(argv)
        much = command is not None and command.name in READS_MUCH
        much = much or any(word.partition("=")[0] == "--at" for word in argv)
        if not much or actor == "local":
            return Turn(Place(), sleep=lambda _: None)
        return Turn(self._places[actor])
