"""How an event becomes a row, and rows a chain."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services import chain
from services.chain import GENESIS, Cause, Draft, Head
from services.errors import BrokenLog
from services.eventlog import check_chain
from services.events import AppCreated, Recorded

APP = "0190a8c0-0000-7000-8000-000000000001"
NOW = "2026-01-01T00:00:00.000000Z"
CAUSE = Cause("configsvc", "ann SHA256:x", "192.0.2.7", "apps:create blog", "story", "trigger")


def rows(count: int) -> list[chain.Row]:
    drafts = [Draft("app/1", "blög", AppCreated(app=APP, name="blog"), id=f"id-{n}") for n in range(count)]
    return list(chain.make_rows(Head(0, GENESIS), {}, drafts, CAUSE, NOW))


def test_ids_are_version_7_uuids_of_the_present_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    ids = [chain.uuid7() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert len(set(ids)) == 1000
    for id_ in ids:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id_)
        assert before <= int(id_.replace("-", "")[:12], 16) <= after


def test_times_are_rfc_3339_in_utc_with_microseconds() -> None:
    text = chain.now()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert abs((datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()) < 60


def test_one_value_has_one_spelling() -> None:
    assert (
        chain.canonical({"b": [1, None, True], "a": "é\n\u2028\x00"}) == '{"a":"é\\n\u2028\\u0000","b":[1,null,true]}'
    )
    assert chain.canonical({"x": 1, "y": 2}) == chain.canonical({"y": 2, "x": 1})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_know_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        chain.canonical({"x": number})


def test_the_hash_of_a_row_is_the_same_for_ever() -> None:
    assert [row[-1] for row in rows(2)] == [
        "a10729dd03cd1979f1c8cfcb8605d2c97d489c47561158437d397af465284957",
        "811ab4168905ec2175eb3068dec642e733c2ec7f8075c57aa9f885abaf9bf7d8",
    ]


def test_each_column_and_the_hash_before_are_in_the_hash() -> None:
    [row] = rows(1)
    hashes = {row[-1], chain.row_hash("f" * 64, row[:-1])}
    for n, value in enumerate(row[:-1]):
        other = value + 1 if isinstance(value, int) else value + "x"
        hashes.add(chain.row_hash(GENESIS, (*row[:n], other, *row[n + 1 : -1])))
    assert len(hashes) == len(row) + 1


def test_text_cannot_move_from_one_column_to_the_next() -> None:
    assert chain.row_hash(GENESIS, ('a","b', "c")) != chain.row_hash(GENESIS, ("a", 'b","c'))


def test_a_row_is_read_as_the_event_it_was() -> None:
    first, second = rows(2)
    recorded = chain.recorded(second)
    assert recorded == Recorded(
        id="id-1",
        source="configsvc",
        type="app.created",
        schema=1,
        subject="blög",
        time=NOW,
        position=2,
        stream="app/1",
        version=2,
        actor="ann SHA256:x",
        origin="192.0.2.7",
        command="apps:create blog",
        correlationid="story",
        causationid="trigger",
        hash=second[-1],
        data=AppCreated(app=APP, name="blog"),
    )
    assert chain.recorded(first).version == 1


def test_rows_go_on_from_the_head_and_the_versions_that_they_are_given() -> None:
    drafts = [Draft(stream, "", AppCreated(app=APP, name="blog")) for stream in ("a", "b", "a")]
    versions = {"a": 4}
    made = list(chain.make_rows(Head(10, "f" * 64), versions, drafts, CAUSE, NOW))
    assert [(row[0], row[2], row[3]) for row in made] == [(11, "a", 5), (12, "b", 1), (13, "a", 6)]
    assert versions == {"a": 6, "b": 1}
    check_chain(made, Head(10, "f" * 64))


def test_what_follows_from_an_event_has_its_story_and_tells_who_asked_from_where_with_which_words() -> None:
    trigger = chain.recorded(rows(1)[0])
    cause = Cause.after("builder", trigger)
    assert cause == Cause("builder", "ann SHA256:x", "192.0.2.7", CAUSE.command, "story", "id-0")
    assert cause.by("deployer") == replace(cause, source="deployer")


def test_a_whole_chain_is_checked_from_the_beginning_of_the_log() -> None:
    check_chain(rows(50), Head(0, GENESIS))
    check_chain(rows(50)[20:], Head(20, rows(20)[-1][-1]))
    check_chain([], Head(0, GENESIS))


@pytest.mark.parametrize("column", range(len(chain.COLUMNS) + 1))
def test_the_first_changed_row_of_a_chain_is_named(column: int) -> None:
    made = rows(10)
    value = made[6][column]
    changed = value if column == 0 else value + 1 if isinstance(value, int) else value + "x"
    made[6] = (*made[6][:column], changed, *made[6][column + 1 :])
    if column == 0:
        made.pop(6)
    with pytest.raises(BrokenLog, match="has no event 7" if column == 0 else "event 7 was changed"):
        check_chain(made, Head(0, GENESIS))


def test_rows_that_changed_places_or_stand_twice_are_found() -> None:
    made = rows(10)
    for wrong in ([*made[:4], made[5], made[4], *made[6:]], [*made[:4], made[3], *made[4:]], made[1:]):
        with pytest.raises(BrokenLog, match="has no event"):
            check_chain(wrong, Head(0, GENESIS))
