"""The events of a backup: read row by row as they were recorded, and replayed into every service's state."""

import importlib
import json
import time
from collections.abc import Iterable, Iterator
from typing import cast

from gitreceiver.archive import BadBackup
from gitreceiver.wanted import Wanted
from services import chain
from services.chain import Row
from services.errors import BadInput, BrokenLog
from services.eventlog import EventLog
from services.events import Event, Recorded
from services.moments import Moment, position_at
from services.names import UUID_PATTERN, matches
from services.projections import Projections
from services.runner import SERVICES

LINE_LIMIT = 128 << 20
NUMBERS = ("position", "version", "schema")
IDS = ("id", "correlationid", "causationid")
DAMAGED = "the backup is damaged: its events are not what Pushlog writes"


class Patient:
    """A log that is read while others have a turn between its pages."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def read(self, after: int = 0, limit: int = chain.PAGE) -> list[Recorded[Event]]:
        """See EventLog.read."""
        time.sleep(0)
        return self._log.read(after, limit)


def rows(chunks: Iterable[bytes]) -> Iterator[Row]:
    """The rows that lines of JSON are, of the shape that every log's have. Raises BadBackup for others."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from map(row, whole)
        if len(rest) > LINE_LIMIT:
            raise BadBackup(DAMAGED)
    if rest:
        raise BadBackup(DAMAGED)


def row(line: bytes) -> Row:
    """The row that a line is. Ids name files and nothing but ids are such; no other text has what no text column takes.

    Whether its data are an event is asked when it is replayed.
    """
    try:
        values = json.loads(line)
        if line != chain.canonical(values).encode() or len(values) != len(chain.COLUMNS) + 1:
            raise BadBackup(DAMAGED)
        named = dict(zip(chain.COLUMNS, values, strict=False))
    except (ValueError, TypeError, RecursionError):
        raise BadBackup(DAMAGED) from None
    numbers = [named.pop(name) for name in NUMBERS]
    texts = [*named.values(), values[-1]]
    if not all(type(number) is int and 0 < number < 1 << 63 for number in numbers):
        raise BadBackup(DAMAGED)
    if not all(type(text) is str and "\0" not in text for text in texts):
        raise BadBackup(DAMAGED)
    if not named["id"] or any(named[name] and not matches(UUID_PATTERN, named[name]) for name in IDS):
        raise BadBackup(DAMAGED)
    return tuple(values)


def replay(log: EventLog) -> Wanted:
    """Make every service's state of a log; returns what its apps need.

    Raises BadBackup for an event that this Pushlog does not know, whose names it would refuse, or that makes no state.
    """
    wanted, projections = Wanted(), Projections(cast(EventLog, Patient(log)))
    projections.add(wanted)
    for service in SERVICES:
        projections.add(importlib.import_module(f"{service}.state").State())
    try:
        projections.catch_up()
    except BrokenLog as error:
        raise BadBackup(str(error).replace("the log holds", "the backup holds", 1)) from None
    except (LookupError, ValueError, TypeError, AttributeError, StopIteration) as error:
        raise BadBackup(f"the backup's events make no state: {type(error).__name__} {error}") from None
    return wanted


def wanted_at(log: EventLog, position: int) -> Wanted:
    """What the apps of a sound log needed at a position."""
    wanted = Wanted()
    for stored in until(log, position):
        wanted.evolve(chain.recorded(stored))
    return wanted


def until(log: EventLog, position: int) -> Iterator[Row]:
    """The rows of a log up to a position."""
    after = 0
    while after < position:
        page = log.rows(after, min(chain.PAGE, position - after))
        yield from page
        after = page[-1][0]


def cut(log: EventLog, moment: Moment) -> int:
    """The position of a moment, or a little later: what was recorded at once stays together. Raises BadInput."""
    position = position_at(log, moment)
    if position == 0:
        raise BadInput("--until: nothing had happened by then; allowed is a moment of the backup's log")
    together = log.rows(position - 1, 1)[0]
    for stored in log.rows(position):
        if any(stored[at] != together[at] for at in map(chain.COLUMNS.index, ("time", "correlationid", "causationid"))):
            break
        position = stored[0]
    return position
