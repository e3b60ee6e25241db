"""What every log guarantees, whatever keeps it. Another database joins by one more name in LOGS."""

import hashlib
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services import database
from services.chain import GENESIS, Cause, Draft, Head
from services.errors import BadInput, BrokenLog, Conflict, LeaseLost
from services.eventlog import EventLog, Lease, SqlLog
from services.events import CATALOGUE, UPCASTERS, AppCreated, BuildFailed, BuildStarted, Event, Recorded
from services.memorylog import MemoryLog
from tests.contract.databases import fresh_url

LOGS = ["memory", "sqlite", "postgresql"]
APP = "0190a8c0-0000-7000-8000-000000000001"
CAUSE = Cause("configsvc", "ann SHA256:x", "192.0.2.7", "apps:create blog", "story", "trigger")


def counting_clock() -> Callable[[], str]:
    """A clock that says another time whenever it is asked."""
    seconds = count()
    return lambda: f"2026-01-01T00:00:{next(seconds):09.6f}Z"


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[EventLog]:
    """An empty log of a kind."""
    if kind == "memory":
        yield MemoryLog(counting_clock())
        return
    with fresh_url(kind, folder) as url:
        engine = database.connect(url)
        try:
            yield SqlLog(engine, counting_clock())
        finally:
            engine.dispose()


@pytest.fixture(params=LOGS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    with opened(request.param, tmp_path) as log:
        yield log


def draft(stream: str = "app/1", attempt: int = 1, **given: str) -> Draft:
    return Draft(stream, "blog", BuildStarted(app=APP, attempt=attempt), **given)


def everything(log: EventLog) -> list[Recorded[Event]]:
    return log.read(0, 100_000)


def test_an_empty_log_has_the_head_zero_and_no_events(log: EventLog) -> None:
    assert (log.head(), log.read()) == (Head(0, GENESIS), [])


def test_an_event_is_returned_and_read_as_it_was_appended(log: EventLog) -> None:
    event = AppCreated(app=APP, name="blog")
    [recorded] = log.append([Draft("app/1", "blog", event, id="an-id")], CAUSE)
    expected = Recorded(
        id="an-id",
        source="configsvc",
        type="app.created",
        schema=1,
        subject="blog",
        time="2026-01-01T00:00:00.000000Z",
        position=1,
        stream="app/1",
        version=1,
        actor="ann SHA256:x",
        origin="192.0.2.7",
        command="apps:create blog",
        correlationid="story",
        causationid="trigger",
        hash=recorded.hash,
        data=event,
    )
    assert recorded == expected
    assert log.read() == [expected]


def test_what_is_appended_together_without_a_story_is_called_after_its_first_event(log: EventLog) -> None:
    recorded = log.append([draft(id="first"), draft(id="second")], Cause("builder", "local"))
    assert [r.correlationid for r in recorded] == ["first", "first"]


@pytest.mark.parametrize("text", ["", "é", "\U0001f600", "a\nb", "'; DROP TABLE events; --", "\\", "x" * 100_000])
def test_any_text_comes_back_unchanged(log: EventLog, text: str) -> None:
    [recorded] = log.append([Draft("app/1", text, AppCreated(app=APP, name="blog"))], Cause("s", "a", "o", text))
    assert [recorded] == log.read()
    assert (recorded.subject, recorded.command) == (text, text)


def test_positions_count_over_the_whole_log_and_versions_within_each_stream(log: EventLog) -> None:
    for batch in (["a", "b", "a"], ["b"], ["c", "a"]):
        log.append([draft(stream) for stream in batch], CAUSE)
    assert [(r.position, r.stream, r.version) for r in log.read()] == [
        (1, "a", 1),
        (2, "b", 1),
        (3, "a", 2),
        (4, "b", 2),
        (5, "c", 1),
        (6, "a", 3),
    ]
    assert log.head() == Head(6, log.read()[-1].hash)


def test_reading_goes_on_after_a_position_and_stops_at_the_limit(log: EventLog) -> None:
    log.append([draft(attempt=n) for n in range(1, 11)], CAUSE)
    assert [r.position for r in log.read(3, 4)] == [4, 5, 6, 7]
    assert [r.position for r in log.read(8, 4)] == [9, 10]
    assert log.read(10) == []
    assert log.read(99) == []


def test_a_conflict_names_the_streams_current_version_and_records_nothing(log: EventLog) -> None:
    log.append([draft("a"), draft("a")], CAUSE, expect={"a": 0})
    with pytest.raises(Conflict, match=r"^a is at version 2, not 1$"):
        log.append([draft("a")], CAUSE, expect={"a": 1})
    with pytest.raises(Conflict, match=r"^b is at version 0, not 1$"):
        log.append([draft("b")], CAUSE, expect={"b": 1})
    assert log.head().position == 2
    log.append([draft("a")], CAUSE, expect={"a": 2})


def test_an_append_may_expect_a_stream_that_it_does_not_write(log: EventLog) -> None:
    log.append([draft("name/blog")], CAUSE)
    with pytest.raises(Conflict, match="name/blog is at version 1, not 0"):
        log.append([draft("app/1")], CAUSE, expect={"name/blog": 0})
    assert log.append([draft("app/1")], CAUSE, expect={"name/blog": 1})[0].version == 1


def test_an_append_over_several_streams_is_recorded_whole_or_not_at_all(log: EventLog) -> None:
    log.append([draft("taken")], CAUSE)
    with pytest.raises(Conflict):
        log.append([draft("free"), draft("taken")], CAUSE, expect={"free": 0, "taken": 0})
    assert log.head().position == 1
    recorded = log.append([draft("free"), draft("taken")], CAUSE, expect={"free": 0, "taken": 1})
    assert [(r.stream, r.version) for r in recorded] == [("free", 1), ("taken", 2)]


def test_what_cannot_be_written_as_text_records_nothing_and_keeps_the_lease(log: EventLog) -> None:
    lease = Lease("w", "one", 1)
    log.append([draft()], CAUSE, claim=lease)
    with pytest.raises(UnicodeEncodeError):
        log.append([draft(), Draft("a", "\udcff", AppCreated(app=APP, name="blog"))], CAUSE, lease=lease)
    assert log.head().position == 1
    assert log.renew(lease)


@pytest.mark.parametrize("given", [{"stream": "a\0b"}, {"id": "a\0b"}])
def test_a_text_that_not_every_database_can_hold_is_refused_by_each(log: EventLog, given: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="a text to be recorded has a NUL byte; allowed is text without"):
        log.append([draft(**given)], CAUSE)
    with pytest.raises(BadInput):
        log.append([draft()], Cause("builder", "local", command="apps:create \0"))
    assert log.head().position == 0


def test_a_control_character_in_an_events_data_comes_back_unchanged(log: EventLog) -> None:
    event = BuildFailed(app=APP, attempt=1, reason="a\0b\x1b\u2028\\u0000", output=None)
    log.append([Draft("app/1", "blog", event)], CAUSE)
    assert log.read()[0].data == event


def test_appending_the_same_events_again_returns_them_where_they_stand(log: EventLog) -> None:
    drafts = [draft("a"), draft("b")]
    first = log.append(drafts, CAUSE, expect={"a": 0})
    log.append([draft("a")], CAUSE)
    assert log.append(drafts, Cause("other", "other"), expect={"a": 0}, lease=Lease("w", "gone", 1)) == first
    assert log.append(drafts[::-1], CAUSE) == first[::-1]
    assert log.append(drafts[1:], CAUSE) == first[1:]
    assert log.head().position == 3


def test_a_batch_of_which_a_part_stands_in_the_log_is_a_conflict(log: EventLog) -> None:
    old = draft("a")
    log.append([old], CAUSE)
    for batch in ([old, draft("a")], [draft("b"), old]):
        with pytest.raises(Conflict, match="1 of 2 events stand in the log already"):
            log.append(batch, CAUSE)
    assert log.head().position == 1


def test_an_append_holds_at_least_one_event_and_each_once(log: EventLog) -> None:
    twice = draft()
    for batch in ([], [twice, twice]):
        with pytest.raises(ValueError, match="at least one event, and each once"):
            log.append(batch, CAUSE)
    assert log.head().position == 0


def test_each_hash_is_of_the_hash_before_and_of_all_that_the_event_says(log: EventLog) -> None:
    log.append([draft("a"), draft("b", 2)], CAUSE)
    log.append([draft("a", 3)], CAUSE)
    before = GENESIS
    for r in log.read():
        data = json.dumps(r.data.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        values = [r.position, r.id, r.stream, r.version, r.type, r.schema, r.source, r.subject, r.time, r.actor]
        values += [r.origin, r.command, r.correlationid, r.causationid, data]
        line = before + "\n" + json.dumps(values, separators=(",", ":"), ensure_ascii=False)
        before = hashlib.sha256(line.encode()).hexdigest()
        assert r.hash == before
    assert log.head().hash == before


def test_writers_at_the_same_moment_leave_no_gap_and_no_doubled_version(log: EventLog) -> None:
    conflicts = []

    def write(name: str) -> None:
        for attempt in range(1, 21):
            version = 0
            while True:
                try:
                    log.append([draft("shared", attempt), draft(name, attempt)], CAUSE, expect={"shared": version})
                    break
                except Conflict as conflict:
                    conflicts.append(conflict)
                    version = int(str(conflict).split()[4].rstrip(","))

    threads = [threading.Thread(target=write, args=(f"own/{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorded = everything(log)
    assert [r.position for r in recorded] == list(range(1, 161))
    assert [r.version for r in recorded if r.stream == "shared"] == list(range(1, 81))
    for n in range(4):
        assert [r.data.attempt for r in recorded if r.stream == f"own/{n}"] == list(range(1, 21))
    assert conflicts


# Leases


def test_a_claim_gives_the_lease_and_its_outcome_ends_it(log: EventLog) -> None:
    lease = Lease("w", "one", 1)
    log.append([draft("work/w")], CAUSE, expect={"work/w": 0}, claim=lease)
    assert log.leases() == {"w": (lease, 0)}
    log.append([draft("work/w", 2)], CAUSE, lease=lease)
    assert log.leases() == {}


def test_renewing_a_lease_changes_its_beat(log: EventLog) -> None:
    lease, other = Lease("w", "one", 1), Lease("v", "one", 1)
    log.append([draft()], CAUSE, claim=lease)
    log.append([draft()], CAUSE, claim=other)
    beats = []
    for _ in range(3):
        beats.append(log.leases()["w"][1])
        assert log.renew(lease)
    assert len(set(beats)) == 3
    assert log.leases()["v"] == (other, 0)
    assert log.head().position == 2


def test_a_claim_that_conflicts_gives_no_lease_and_takes_none_away(log: EventLog) -> None:
    lease = Lease("w", "one", 1)
    log.append([draft("work/w")], CAUSE, expect={"work/w": 0}, claim=lease)
    with pytest.raises(Conflict):
        log.append([draft("work/w")], CAUSE, expect={"work/w": 0}, claim=Lease("w", "two", 1))
    assert log.leases() == {"w": (lease, 0)}


def test_a_late_outcome_of_a_lease_that_another_took_over_is_not_recorded(log: EventLog) -> None:
    slow, quick = Lease("w", "one", 1), Lease("w", "two", 2)
    log.append([draft("work/w")], CAUSE, claim=slow)
    log.append([draft("work/w", 2)], CAUSE, expect={"work/w": 1}, claim=quick)
    assert not log.renew(slow)
    with pytest.raises(LeaseLost, match="attempt 1 at w was given up; its result is not recorded"):
        log.append([draft("work/w"), draft("app/1")], CAUSE, lease=slow)
    assert log.head().position == 2
    assert log.leases() == {"w": (quick, 0)}
    log.append([draft("work/w")], CAUSE, lease=quick)
    assert log.head().position == 3


@pytest.mark.parametrize("like", [Lease("w", "two", 1), Lease("w", "one", 2), Lease("v", "one", 1)])
def test_a_lease_that_differs_in_anything_is_not_the_lease(log: EventLog, like: Lease) -> None:
    lease = Lease("w", "one", 1)
    log.append([draft()], CAUSE, claim=lease)
    assert not log.renew(like)
    with pytest.raises(LeaseLost):
        log.append([draft()], CAUSE, lease=like)
    assert log.leases() == {"w": (lease, 0)}


def test_one_append_may_end_one_lease_and_claim_another(log: EventLog) -> None:
    build, deploy = Lease("b", "one", 1), Lease("d", "one", 1)
    log.append([draft()], CAUSE, claim=build)
    log.append([draft()], CAUSE, lease=build, claim=deploy)
    assert log.leases() == {"d": (deploy, 0)}


def test_dropping_the_leases_gives_up_every_one_and_records_nothing(log: EventLog) -> None:
    leases = [Lease(work, "one", 1) for work in ("v", "w")]
    for lease in leases:
        log.append([draft()], CAUSE, claim=lease)
    log.drop_leases()
    assert log.leases() == {}
    for lease in leases:
        assert not log.renew(lease)
        with pytest.raises(LeaseLost):
            log.append([draft()], CAUSE, lease=lease)
    log.drop_leases()
    assert log.head().position == 2


def test_a_lease_can_be_taken_without_an_event_when_nobody_has_it(log: EventLog) -> None:
    lease = Lease("role/router", "one", 1)
    assert log.take(lease, None)
    assert log.leases() == {"role/router": (lease, 0)}
    assert not log.take(Lease("role/router", "two", 1), None)
    assert log.renew(lease)
    assert log.head().position == 0


def test_a_lease_is_taken_over_only_as_it_was_seen(log: EventLog) -> None:
    first, second = Lease("role/router", "one", 1), Lease("role/router", "two", 2)
    log.take(first, None)
    log.renew(first)
    for seen in [None, (first, 0), (first, 2), (second, 1), (Lease("other", "one", 1), 1)]:
        assert not log.take(second, seen)
    assert log.take(second, (first, 1))
    assert not log.renew(first)
    assert log.renew(second)


def test_a_lease_that_is_taken_over_by_its_own_holder_is_seen_to_change(log: EventLog) -> None:
    lease = Lease("role/router", "one", 1)
    log.take(lease, None)
    assert log.take(lease, (lease, 0))
    assert not log.take(Lease("role/router", "two", 2), (lease, 0))


def test_of_many_that_take_a_lease_at_the_same_moment_one_has_it(log: EventLog) -> None:
    seen: tuple[Lease, int] | None = None
    for attempt in range(1, 6):
        rivals = [Lease("role/router", f"holder {n}", attempt) for n in range(4)]
        taken: list[Lease] = []
        begin = threading.Barrier(len(rivals))

        def rival(lease: Lease, seen: Any = seen, begin: Any = begin, taken: Any = taken) -> None:
            begin.wait()
            if log.take(lease, seen):
                taken.append(lease)

        threads = [threading.Thread(target=rival, args=(lease,)) for lease in rivals]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seen = log.leases()["role/router"]
        assert taken == [seen[0]]


def test_a_released_lease_is_nobodys_and_one_that_was_lost_stays_anothers(log: EventLog) -> None:
    first, second = Lease("role/router", "one", 1), Lease("role/router", "two", 2)
    log.take(first, None)
    log.release(first)
    assert log.leases() == {}
    log.take(second, None)
    log.release(first)
    log.release(Lease("role/builder", "two", 2))
    assert log.leases() == {"role/router": (second, 0)}


# Old and unknown events


@pytest.fixture
def own_type() -> Iterator[str]:
    """The wire name of an event type that is the test's own, and leaves the catalogue with it."""
    name = "x.test.counted"
    yield name
    CATALOGUE.pop(name, None)
    for key in [key for key in UPCASTERS if key[0] == name]:
        del UPCASTERS[key]


def first_shape(name: str) -> Event:
    class Counted(Event, type=name, emitter="tests"):
        """So many."""

        number: int

    return Counted(number=3)


def third_shape(name: str) -> Event:
    class Counted(Event, type=name, emitter="tests", schema=3):
        """So many of what."""

        count: int
        unit: str

    UPCASTERS[name, 1] = lambda data: {"count": data["number"]}
    UPCASTERS[name, 2] = lambda data: {**data, "unit": "apples"}
    return Counted(count=4, unit="pears")


def test_an_old_event_is_read_in_todays_shape_and_keeps_its_hash(log: EventLog, own_type: str) -> None:
    [old] = log.append([Draft("s", "s", first_shape(own_type))], CAUSE)
    new = third_shape(own_type)
    log.append([Draft("s", "s", new)], CAUSE)
    first, second = log.read()
    assert (first.schema, first.hash, first.data) == (1, old.hash, type(new)(count=3, unit="apples"))
    assert (second.schema, second.data) == (3, new)


def test_an_event_that_was_appended_in_an_old_shape_is_found_again_by_its_id(log: EventLog, own_type: str) -> None:
    log.append([Draft("s", "s", first_shape(own_type), id="an-id")], CAUSE)
    new = third_shape(own_type)
    assert log.append([Draft("s", "s", new, id="an-id")], CAUSE)[0].data == type(new)(count=3, unit="apples")


def test_an_unknown_type_stops_the_reader(log: EventLog, own_type: str) -> None:
    log.append([draft(), Draft("s", "s", first_shape(own_type)), draft()], CAUSE)
    del CATALOGUE[own_type]
    with pytest.raises(BrokenLog, match=r"holds 'x.test.counted', which this Pushlog does not know"):
        log.read()
    assert len(log.read(0, 1)) == 1


def test_a_newer_schema_stops_the_reader(log: EventLog, own_type: str) -> None:
    log.append([Draft("s", "s", third_shape(own_type))], CAUSE)
    first_shape(own_type)
    with pytest.raises(BrokenLog, match=r"x.test.counted in schema 3, not in 1 to 1; upgrade Pushlog"):
        log.read()


def test_data_that_are_not_of_their_types_shape_stop_the_reader(log: EventLog, own_type: str) -> None:
    log.append([Draft("s", "s", first_shape(own_type))], CAUSE)

    class Counted(Event, type=own_type, emitter="tests"):
        """Another shape under the same version: a mistake that must show."""

        amount: int

    with pytest.raises(BrokenLog, match=r'x.test.counted with a bad "amount": Field required'):
        log.read()


# Every log does the same

STREAMS = st.sampled_from(["a", "b", "c"])
LEASES = st.builds(Lease, st.sampled_from(["v", "w"]), st.sampled_from(["one", "two"]), st.integers(1, 2))
APPENDS = st.fixed_dictionaries(
    {
        "batch": st.lists(st.tuples(STREAMS, st.integers(0, 12)), max_size=4),
        "expect": st.none() | st.dictionaries(STREAMS, st.integers(0, 4), max_size=2),
        "claim": st.none() | LEASES,
        "lease": st.none() | LEASES,
    }
)
TAKES = st.tuples(LEASES, st.none() | st.tuples(LEASES, st.integers(0, 2)))
CALLS = st.lists(APPENDS | LEASES | TAKES | st.just("drop") | st.tuples(LEASES), max_size=12)


def outcome(log: EventLog, call: Any) -> Any:
    """What a call gives or raises."""
    if call == "drop":
        return log.drop_leases()
    if isinstance(call, Lease):
        return log.renew(call)
    if isinstance(call, tuple):
        return log.take(*call) if len(call) == 2 else log.release(*call)
    drafts = [draft(stream, id=f"id-{number}") for stream, number in call["batch"]]
    try:
        return log.append(drafts, CAUSE, expect=call["expect"], claim=call["claim"], lease=call["lease"])
    except (Conflict, LeaseLost, ValueError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("kind", [kind for kind in LOGS if kind != "memory"])
@settings(max_examples=40, deadline=None)
@given(calls=CALLS)
def test_any_calls_have_the_same_results_and_leave_the_same_rows_as_in_memory(kind: str, calls: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, opened(kind, Path(folder)) as log:
        memory = MemoryLog(counting_clock())
        for call in calls:
            assert outcome(log, call) == outcome(memory, call)
            assert log.leases() == memory.leases()
        assert everything(log) == everything(memory)
        assert log.head() == memory.head()
