"""The log as `events` shows it: those events that are wanted, without reading what stands before them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from cli.values import Wanted
from gitreceiver.called import Called
from services.errors import NoSuchApp
from services.eventlog import EventLog
from services.events import AppEvent, CloudEvent, Event, Recorded
from services.moments import position_at, position_before, time_of
from services.projections import Projections

AT_ONCE = 100
"""Held in memory for each one who reads the log; it does not give back what many held at the same moment."""
ASTRAY = 1000
"""Positions around a time's own that are looked at, too, as the clocks of several machines differ a little."""

Test = Callable[[Recorded[Event]], bool]


def read(
    log: EventLog,
    projections: Projections,
    called: Called,
    wanted: Wanted,
    alive: Callable[[], None],
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[list[Any]]:
    """Wanted events in batches, as CloudEvents mappings; with `tail` it goes on with what happens.

    `alive` raises when nobody is there to be told; `waiting` is around each wait. Raises NoSuchApp for an app that
    never was, and BadInput for a position beyond the log.
    """
    projections.catch_up()
    if wanted.app is not None and wanted.app not in called.apps:
        raise NoSuchApp.named(wanted.app)
    fits = fitting(wanted, called)
    first, end = bounds(log, wanted)
    if wanted.last is not None:
        yield [CloudEvent.of(event) for event in last(log, first, end, wanted.last, fits)]
        first = end
    turn = 0
    while True:
        while page := log.read(first, AT_ONCE if wanted.tail else min(AT_ONCE, end - first)):
            first = page[-1].position
            yield [CloudEvent.of(event) for event in page if fits(event)]
        if not wanted.tail:
            return
        with waiting():
            turn = projections.wait(turn, 1.0)
        alive()


def bounds(log: EventLog, wanted: Wanted) -> tuple[int, int]:
    """The positions after which, and up to which, what is wanted stands. Raises BadInput for one beyond the log."""
    since, until, head = wanted.since, wanted.until, log.head().position
    first = 0 if since is None else position_before(log, since)
    end = head if until is None else position_at(log, until)
    if isinstance(since, datetime):
        first = max(0, first - ASTRAY)
    if isinstance(until, datetime):
        end = min(head, end + ASTRAY)
    return first, max(first, end)


def last(log: EventLog, first: int, end: int, number: int, fits: Test) -> list[Recorded[Event]]:
    """The last `number` events that fit of those after `first` and up to `end`, read from the end on."""
    found: list[Recorded[Event]] = []
    while end > first and len(found) < number:
        start = max(first, end - AT_ONCE)
        found[:0] = filter(fits, log.read(start, end - start))
        end = start
    return found[max(0, len(found) - number) :]


def fitting(wanted: Wanted, called: Called) -> Test:
    """Whether an event is wanted, by what it says itself."""
    since, until = (each if isinstance(each, datetime) else None for each in (wanted.since, wanted.until))

    def fits(event: Recorded[Event]) -> bool:
        return (
            (wanted.app is None or (isinstance(event.data, AppEvent) and event.data.app in called.apps[wanted.app]))
            and (not wanted.types or any(is_of(event.type, each) for each in wanted.types))
            and (wanted.actor is None or wanted.actor in event.actor.split(" "))
            and (since is None or time_of(event) >= since)
            and (until is None or time_of(event) <= until)
        )

    return fits


def is_of(type: str, wanted: str) -> bool:
    """Whether an event's type is the wanted one, or begins as `release.*` says."""
    return type.startswith(wanted[:-1]) if wanted.endswith("*") else type == wanted
