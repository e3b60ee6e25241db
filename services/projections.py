"""State is a fold: one read of the log feeds every fold of a process."""

import gc
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from services.commands import Commands
from services.errors import Unavailable
from services.eventlog import PAGE, EventLog
from services.events import Event, Recorded
from services.snapshots import Snapshot, Snapshots, Unusable

log = logging.getLogger("pushlog")

EVERY = 20_000
"""Events between two snapshots."""


class Fold(Protocol):
    """A state that events change, in order, without any other effect.

    One that has `takes`, a set of event types, is fed only events of these.
    """

    def evolve(self, event: Recorded[Event]) -> None:
        """Take in the next event."""
        ...


@dataclass
class Seat:
    """A fold that joins: the name that snapshots know it by, and how far it was fed."""

    name: str
    fold: Fold
    position: int = 0


class Projections:
    """The folds of one process, each at the same position of the log. With `snapshots` they need not begin at 0."""

    def __init__(self, log: EventLog, snapshots: Snapshots | None = None) -> None:
        self._log = log
        self._snapshots = snapshots
        self._snapshot: Snapshot | None = None
        self._kept = 0
        self._folds: dict[str, Fold] = {}
        self._listeners: list[Fold] = []
        self._joining: list[Seat] = []
        self._listening: list[Fold] = []
        self._reading = threading.Lock()
        self._advanced = threading.Condition()
        self.deciding = threading.Lock()
        self._begun = self._ended = 0
        self._failed: Exception | None = None
        self._hash = ""
        self.position = 0
        self.turn = 0
        self.commands = Commands()
        self.add(self.commands)

    @property
    def folds(self) -> tuple[Fold, ...]:
        """What is fed."""
        return *self._folds.values(), *self._listeners

    def add(self, fold: Fold, name: str = "") -> None:
        """Feed `fold` too, from the beginning of the log; it is there at the end of the next `catch_up`.

        Snapshots keep its state under `name`, which must always be the same: its class, unless there are several.
        """
        name = name or f"{type(fold).__module__}.{type(fold).__qualname__}"
        if name in self._folds or any(seat.name == name for seat in self._joining):
            raise ValueError(f"there is a fold {name} already")
        self._joining.append(Seat(name, fold))

    def listen(self, fold: Fold) -> None:
        """Feed `fold` what is recorded after the next `catch_up`: it is about what happens, and no state."""
        self._listening.append(fold)

    def catch_up(self) -> int:
        """Take in all that stands in the log now; returns the position. Call it before deciding or answering."""
        asked = self._begun
        with self._reading:
            if self._ended <= asked:  # else a read that began after we asked took it all in
                self._begun += 1
                self._take_in()
                self._ended = self._begun
        return self.position

    def keep(self) -> None:
        """Write a snapshot, unless the last one says the same."""
        with self._reading:
            self._keep()

    def snapshot(self) -> Snapshot:
        """All that the folds know now. Nothing may be taken in while it is used."""
        states = {name: fold.__getstate__() for name, fold in self._folds.items()}
        return Snapshot(self.position, self._hash, states)

    def _take_in(self) -> None:
        before = self.position
        if self._joining:
            with _uncollected(lasting=self._snapshots is not None):
                self._let_join()
                self._read_on()
        else:
            self._read_on()
        self._listeners, self._listening = self._listeners + self._listening, []
        if self.position >= self._kept + EVERY:
            self._keep()
        if self.position > before:
            self.wake()

    def _read_on(self) -> None:
        while page := self._log.read(self.position):
            self._feed(self.folds, page)
            self.position, self._hash = page[-1].position, page[-1].hash
            if len(page) < PAGE:
                break

    def _let_join(self) -> None:
        """Bring those who join to where the others are, or to where the snapshot ends: one read for all behind."""
        if not self._folds:
            self._snapshot = self._load()
        if self._snapshot:
            self._start_from(self._snapshot)
        for after in sorted({seat.position for seat in self._joining}):
            self._bring_up([seat for seat in self._joining if seat.position == after])
        self._folds |= {seat.name: seat.fold for seat in self._joining}
        self._joining = []

    def _load(self) -> Snapshot | None:
        try:
            if (snapshot := self._snapshots.load() if self._snapshots else None) is None:
                return None
            if [event.hash for event in self._log.read(snapshot.position - 1, 1)] != [snapshot.hash]:
                raise Unusable(f"the log has another event {snapshot.position}, or none")
            return snapshot
        except Unusable as error:
            log.warning("the snapshot of the state is not used, the log is read from its beginning: %s", error)
            return None

    def _start_from(self, snapshot: Snapshot) -> None:
        for seat in self._joining:
            if (state := snapshot.states.pop(seat.name, None)) is not None:
                vars(seat.fold).update(state)
                seat.position = snapshot.position
        if snapshot.position > self.position:
            self._kept = self.position = snapshot.position
            self._hash = snapshot.hash

    def _bring_up(self, seats: Sequence[Seat]) -> None:
        folds, position = [seat.fold for seat in seats], seats[0].position
        while position < self.position:
            page = self._log.read(position, min(PAGE, self.position - position))
            self._feed(folds, page)
            position = page[-1].position
            for seat in seats:  # should the next page not be had, it goes on from here
                seat.position = position

    def _feed(self, folds: Sequence[Fold], page: Sequence[Recorded[Event]]) -> None:
        """Feed the folds. One that cannot take an event in stops them all, before any takes it in twice."""
        if self._failed:
            raise self._failed
        kinds = {type(event.data) for event in page}
        takers = {kind: [fold.evolve for fold in folds if kind in getattr(fold, "takes", kinds)] for kind in kinds}
        try:
            for event in page:
                for take_in in takers[type(event.data)]:
                    take_in(event)
        except Exception as error:
            self._failed = error
            raise

    def _keep(self) -> None:
        if self._snapshots and self._folds and self.position > self._kept and not self._failed:
            self._kept = self.position
            try:
                self._snapshots.save(self.snapshot())
            except Unusable as error:
                log.warning("no snapshot of the state was kept: %s", error)

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


@contextmanager
def _uncollected(lasting: bool) -> Iterator[None]:
    """Look for no reference cycles meanwhile, nor ever among what stands then if that is `lasting`.

    A log's events and what is folded from them have none; looking takes as long as folding, and later stops all.
    """
    gc.disable()
    try:
        yield
    finally:
        if lasting:
            gc.freeze()
        gc.enable()
