"""State is a fold: one read of the log feeds every fold of a process."""

import logging
import threading
from typing import Protocol

from services.commands import Commands
from services.errors import Unavailable
from services.eventlog import PAGE, EventLog
from services.events import Event, Recorded

log = logging.getLogger("pushlog")


class Fold(Protocol):
    """A state that events change, in order, without any other effect."""

    def evolve(self, event: Recorded[Event]) -> None:
        """Take in the next event."""
        ...


class Projections:
    """The folds of one process, each at the same position of the log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.commands = Commands()
        self._folds: list[Fold] = [self.commands]
        self._reading = threading.Lock()
        self._advanced = threading.Condition()
        self.deciding = threading.Lock()
        self._begun = self._ended = 0
        self._failed: Exception | None = None
        self.position = 0
        self.turn = 0

    @property
    def folds(self) -> tuple[Fold, ...]:
        """What is fed."""
        return tuple(self._folds)

    def add(self, fold: Fold) -> None:
        """Feed `fold` too, from the beginning of the log."""
        with self._reading:
            position = 0
            while position < self.position:
                for event in self._log.read(position, min(PAGE, self.position - position)):
                    fold.evolve(event)
                    position = event.position
            self._folds.append(fold)

    def catch_up(self) -> int:
        """Take in all that stands in the log now; returns the position. Call it before deciding or answering."""
        asked = self._begun
        with self._reading:
            if self._ended <= asked:  # else a read that began after we asked took it all in
                self._begun += 1
                self._take_in()
                self._ended = self._begun
        return self.position

    def _take_in(self) -> None:
        before = self.position
        while page := self._log.read(self.position):
            for event in page:
                self._evolve(event)
                self.position = event.position
            if len(page) < PAGE:
                break
        if self.position > before:
            self.wake()

    def _evolve(self, event: Recorded[Event]) -> None:
        """Feed all folds. One that cannot take an event in stops them all, before any takes it in twice."""
        if self._failed:
            raise self._failed
        try:
            for fold in self._folds:
                fold.evolve(event)
        except Exception as error:
            self._failed = error
            raise

    def follow(self, every: float) -> None:
        """Catch up for ever: when something may have happened, and every `every` seconds in case no bell was heard.

        Raises BrokenLog when the log holds what this Pushlog cannot read: then no fold goes on.
        """
        turn = 0
        while True:
            try:
                self.catch_up()
            except Unavailable as error:
                log.warning("the log does not answer: %s", error)
            turn = self.wait(turn, every)

    def wake(self) -> None:
        """Let all who wait look again."""
        with self._advanced:
            self.turn += 1
            self._advanced.notify_all()

    def wait(self, seen: int, timeout: float) -> int:
        """Wait until `turn` is no longer `seen`, at most `timeout` seconds; returns `turn`, to be given next time."""
        with self._advanced:
            self._advanced.wait_for(lambda: self.turn != seen, timeout)
            return self.turn
