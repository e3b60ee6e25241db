"""The events of a backup: read row by row as they were recorded, and replayed into every service's state."""

import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import takewhile

from gitreceiver.backup import plausible
from gitreceiver.backup.archive import BadBackup
from gitreceiver.backup.wanted import Wanted
from services import chain, past
from services.chain import Row
from services.commands import Commands
from services.errors import BadInput, BrokenLog
from services.eventlog import EventLog
from services.events import Event, Recorded
from services.moments import Moment, position_at
from services.names import UUID_PATTERN, matches
from services.projections import Fold
from services.runner import SERVICES

LINE_LIMIT = 16 << 20
NUMBERS = ("position", "version", "schema")
LARGEST = (1 << 63) - 1
"""What fits a column of numbers, and so a number in an event too."""
IDS = ("id", "correlationid", "causationid")
TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"
AT_ONCE = 25
"""Rows that are held: those of others may be large."""
STORY = [chain.COLUMNS.index(name) for name in ("time", "correlationid", "causationid")]
"""What is the same in all that is recorded at once."""
DAMAGED = "the backup is damaged: its events are not what Pushlog writes"


def plain(stored: Row) -> Recorded[Event]:
    """The event of a row whose data are spelled as a log spells them: each key once, and no number beyond the columns'.

    Raises BrokenLog as `recorded`, and BadBackup.
    """
    event, data = chain.recorded(stored), stored[14]
    try:
        if chain.canonical(json.loads(data, parse_int=small, parse_float=small)) == data:
            return event
    except (ValueError, RecursionError):
        pass
    raise BadBackup(f"the backup is damaged: the data of its event {stored[0]} are not spelled as Pushlog does")


def small(digits: str) -> int:
    """The whole number that fits a column. Raises ValueError."""
    if len(digits) > len(str(LARGEST)) or abs(int(digits)) > LARGEST:
        raise ValueError(digits)
    return int(digits)


def rows(chunks: Iterable[bytes]) -> Iterator[Row]:
    """The rows that lines of JSON are, of the shape that every log's have. Raises BadBackup for others."""
    begun, size = list[bytes](), 0  # a long line is put together once, not with each chunk
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        begun.append(first)
        size += len(first)
        if size > LINE_LIMIT:
            raise BadBackup(DAMAGED)
        for other in others:
            yield row(b"".join(begun))
            begun, size = [other], len(other)
    if size:
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
    if any(not matches(UUID_PATTERN, named[name]) for name in IDS if named[name] or name != "causationid"):
        raise BadBackup(DAMAGED)
    if not is_time(named["time"]):
        raise BadBackup(DAMAGED)
    return tuple(values)


def is_time(text: str) -> bool:
    """Whether `text` is a time as the log spells it."""
    try:
        return matches(TIME, text) and datetime.fromisoformat(text).tzinfo == UTC
    except ValueError:  # the 31st of February
        return False


def replay(log: EventLog) -> Wanted:
    """Make every service's state of a log; returns what its apps need.

    Raises BadBackup for an event that this Pushlog does not know, whose names, actor or addresses no Pushlog would
    record, or that makes no state.
    """
    wanted = Wanted()
    folds: list[Fold] = [wanted, Commands(), *past.states(SERVICES).values()]
    try:
        for stored in until(log, log.head().position):
            event = plain(stored)
            plausible.check(event)
            for fold in folds:
                fold.evolve(event)
    except BrokenLog as error:
        raise BadBackup(str(error).replace("the log holds", "the backup holds", 1)) from None
    except (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        StopIteration,
        ArithmeticError,
        AssertionError,
    ) as error:
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
        page = log.rows(after, min(AT_ONCE, position - after))
        yield from page
        after = page[-1][0]
        time.sleep(0)  # others have a turn


def cut(log: EventLog, moment: Moment) -> int:
    """The position of a moment, or a little later: what was recorded at once stays together. Raises BadInput."""
    position = position_at(log, moment)
    if position == 0:
        raise BadInput("--until: nothing had happened by then; allowed is a moment of the backup's log")
    together = [log.rows(position - 1, 1)[0][at] for at in STORY]
    while page := list(takewhile(lambda stored: [stored[at] for at in STORY] == together, log.rows(position))):
        position = page[-1][0]
    return position
