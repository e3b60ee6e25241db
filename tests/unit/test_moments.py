"""Moments of the log, as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from services.chain import Cause, Draft
from services.errors import BadInput
from services.events import AppCreated, app_stream
from services.memorylog import MemoryLog
from services.moments import moment, position_at, position_before
from tests.unit.story import APP

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Counting(MemoryLog):
    """A log that counts how often it is read."""

    reads = 0

    def read(self, after=0, limit=1000):
        self.reads += 1
        return super().read(after, limit)


def a_log(minutes):
    """A log with an event at each of the minutes after noon."""
    times = iter(minutes)
    log = Counting(clock=lambda: (NOON + timedelta(minutes=next(times))).isoformat().replace("+00:00", "Z"))
    for _ in minutes:
        log.append([Draft(app_stream(APP), "hello", AppCreated(app=APP, name="hello"))], Cause("test", "local"))
    return log


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0", 0),
        ("17", 17),
        ("2026-11-25T12:00:00Z", NOON),
        ("2026-11-25t12:00:00z", NOON),
        ("2026-11-25T13:30:00+01:30", NOON),
        ("2026-11-25T12:00:00.250Z", NOON + timedelta(milliseconds=250)),
        ("2026-11-25 12:00", NOON),
        ("2026-11-25", datetime(2026, 11, 25, tzinfo=UTC)),
        ("now", NOON),
        ("30s", NOON - timedelta(seconds=30)),
        ("10m", NOON - timedelta(minutes=10)),
        ("2h ago", NOON - timedelta(hours=2)),
        ("1d", NOON - timedelta(days=1)),
        ("2w", NOON - timedelta(weeks=2)),
    ],
)
def test_a_moment_is_a_position_a_time_or_how_long_ago(text, meant):
    assert moment(text, NOON) == meant


NOT_POSITIONS = ["", " ", "-1", "+1", "1.5", "١٢", "9" * 19, "\0", "1\ud800"]
NOT_AGO = ["m", "10x", "10 m", "-10m", "999999999d", "yesterday"]
NOT_TIMES = ["12:00", "2026-02-31", "2026-13-01", "2026-11-25T25:00:00Z", "2026-11-25T12:00:60Z", "2026-W48-3"]
NOT_TIMES += ["20261125T120000Z", "0001-01-01T00:00:00+14:00", "2026-11-25Z", "2026-11-25T12:00:00Z\n"]


@pytest.mark.parametrize("text", [*NOT_POSITIONS, *NOT_AGO, *NOT_TIMES])
def test_anything_else_is_refused_in_one_sentence(text):
    with pytest.raises(BadInput, match=r"^moment: .* is neither a position nor a time; allowed are"):
        moment(text, NOON)


def test_without_being_told_the_time_it_is_the_present():
    assert abs(moment("1h") - (datetime.now(UTC) - timedelta(hours=1))) < timedelta(minutes=1)


def test_the_position_at_a_time_is_that_of_the_last_event_until_then():
    log = a_log([0, 1, 1, 2])
    ats = {minute: position_at(log, NOON + timedelta(minutes=minute)) for minute in (-1, 0, 0.5, 1, 1.5, 2, 99)}
    assert ats == {-1: 0, 0: 1, 0.5: 1, 1: 3, 1.5: 3, 2: 4, 99: 4}


def test_what_happened_since_a_time_begins_with_the_first_event_then():
    log = a_log([0, 1, 1, 2])
    befores = {minute: position_before(log, NOON + timedelta(minutes=minute)) for minute in (-1, 0, 0.5, 1, 1.5, 2, 99)}
    assert befores == {-1: 0, 0: 0, 0.5: 1, 1: 1, 1.5: 3, 2: 3, 99: 4}


@pytest.mark.parametrize("at", [position_at, position_before])
def test_a_position_is_itself_and_must_be_in_the_log(at):
    log = a_log([0, 1, 2])
    assert [at(log, position) for position in (0, 2, 3)] == [0, 2, 3]
    with pytest.raises(BadInput, match="position 4 is beyond the end of the log; allowed are 0 to 3"):
        at(log, 4)


def test_in_an_empty_log_every_time_is_before_the_first_event():
    assert position_at(MemoryLog(), NOON) == position_before(MemoryLog(), NOON) == 0


def test_a_time_is_found_in_few_looks():
    log = a_log(range(1000))
    assert position_at(log, NOON + timedelta(minutes=700)) == 701
    assert log.reads <= 10


def test_where_a_clock_was_set_back_the_position_still_has_that_time_behind_it_and_not_after():
    log = a_log([0, 10, 20, 5, 6, 30])
    at = NOON + timedelta(minutes=8)
    position = position_at(log, at)
    assert log.read(position - 1, 1)[0].time <= at.isoformat() < log.read(position, 1)[0].time
