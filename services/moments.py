"""Moments of the log, as people write them: a position, a time, or how long ago."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from services.errors import BadInput
from services.eventlog import EventLog
from services.events import Event, Recorded
from services.names import shown

ALLOWED = (
    "allowed are a position of the log, a time such as 2026-11-25T12:00:00Z or 2026-11-25, now, or 10m, 2h, 1d ago"
)
POSITION = r"[0-9]{1,18}"
"""No more digits than a column of the log has."""
DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME = DAY + r"([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Moment = int | datetime


def moment(text: str, now: datetime | None = None) -> Moment:
    """The position, or the time in UTC, that `text` names. A time without an offset is in UTC, a day is its beginning.

    `10m` is ten minutes before `now` (the present, if None); s, m, h, d and w are the units. Raises BadInput.
    """
    if re.fullmatch(POSITION, text):
        return int(text)
    try:
        if text == "now":
            return now or datetime.now(UTC)
        if ago := re.fullmatch(r"([0-9]{1,9})([smhdw])(?: ago)?", text):
            return (now or datetime.now(UTC)) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        if re.fullmatch(TIME, text):
            named = datetime.fromisoformat(text.upper())
            return (named if named.tzinfo else named.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February, or before the first year
        pass
    raise BadInput(f"moment: {shown(text)} is neither a position nor a time; {ALLOWED}")


def position(text: str) -> int:
    """The position that `text` names. Raises BadInput for what no event can stand at."""
    if not re.fullmatch(POSITION, text) or int(text) == 0:
        raise BadInput(f"position: {shown(text)} is not one; allowed are 1, 2, … as `events` shows them")
    return int(text)


def time_of(event: Recorded[Event]) -> datetime:
    """When an event was recorded, by the clock of the process that recorded it."""
    return datetime.fromisoformat(event.time)


def position_at(log: EventLog, moment: Moment) -> int:
    """The last position at or before a moment; 0: nothing had happened yet. Raises BadInput for one beyond the log.

    Positions are in order and times nearly: where a clock was set back several positions answer to one time, and this
    is one of them, the same at each call while the log does not grow.
    """
    end = log.head().position
    if isinstance(moment, int):
        if moment > end:
            raise BadInput(f"moment: position {moment} is beyond the end of the log; allowed are 0 to {end}")
        return moment
    return _last(log, end, lambda time: time <= moment)


def position_before(log: EventLog, moment: Moment) -> int:
    """The position after which begins what happened since a moment: after a position, or at a time and after.

    See position_at.
    """
    if isinstance(moment, int):
        return position_at(log, moment)
    return _last(log, log.head().position, lambda time: time < moment)


def _last(log: EventLog, end: int, early: Callable[[datetime], bool]) -> int:
    """The last position up to `end` that is `early`, found by halving: a log of a million takes twenty looks."""
    low, high = 0, end
    while low < high:
        middle = (low + high + 1) // 2
        [event] = log.read(middle - 1, 1)
        low, high = (middle, high) if early(time_of(event)) else (low, middle - 1)
    return low
