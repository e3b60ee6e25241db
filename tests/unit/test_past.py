"""Any state that ever was, and proof that the live one is what the log says."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import configsvc.ports
from cli.dispatch import run
from configsvc import answers
from services import chain, past
from services.chain import Cause, Draft, Head
from services.errors import Refused, WouldRecord
from services.events import AppCreated, ConfigChanged, Event, Recorded, app_stream
from services.memorylog import MemoryLog
from services.projections import Projections
from services.runner import SERVICES
from tests import fleet
from tests.unit.fake_context import FakeContext

APP = "0190a8c0-0000-7000-8000-000000000001"
CAUSE = {"source": "gitreceiver", "actor": "ann SHA256:x"}


def fleet_log(events: int, seed: int = 1) -> MemoryLog:
    """A log of so many events of apps that live side by side."""
    log = MemoryLog()
    rows = fleet.rows(Random(seed), apps=4, mortality=0.01)
    log._rows = [next(rows) for _ in range(events)]
    return log


@pytest.fixture
def parts() -> tuple[configsvc.ports.Ports, SimpleNamespace]:
    """configsvc's ports over an empty log, and the platform that they were built from."""
    log = MemoryLog()
    outputs, domain = SimpleNamespace(), SimpleNamespace(domain="localhost", subnet=None, destroy_grace=3600)
    platform = past.Platform(domain, log, Projections(log), None, None, outputs, None, None)  # type: ignore[arg-type]
    return configsvc.ports.build(platform), platform  # type: ignore[return-value]


def test_a_question_about_a_position_is_answered_as_it_would_have_been_then(parts) -> None:
    ports, platform = parts
    told = []
    for name in ("one", "two", "three"):
        answers.create_app(ports, name, dict(CAUSE), None)
        told.append((ports.log.head().position, answers.list_apps(ports)))
    for position, then in told:
        view = past.view(ports, configsvc.ports.build, platform, {"at": position})
        assert answers.list_apps(view) == then
    assert answers.list_apps(ports) == told[-1][1]


def test_a_log_that_ends_earlier_has_nothing_behind_its_end() -> None:
    log, whole = past.Until(fleet_log(300), 120), fleet_log(300)
    assert log.rows() == whole.rows(0, 120)
    assert log.read(100) == whole.read(100, 20)
    assert log.head() == Head(120, whole.rows(119, 1)[0][-1])
    assert (log.rows(120), log.read(500), past.Until(whole, 0).rows()) == ([], [], [])
    assert past.Until(whole, 0).head() == Head(0, chain.GENESIS)
    assert verified(log).head == log.head()


def test_the_past_cannot_be_changed(parts) -> None:
    ports, platform = parts
    view = past.view(ports, configsvc.ports.build, platform, {"at": 0})
    with pytest.raises(Refused, match="the past cannot be changed"):
        answers.create_app(view, "one", dict(CAUSE), None)
    assert ports.log.head().position == 0


def test_a_rehearsal_tells_what_would_be_recorded_and_records_nothing(parts) -> None:
    ports, platform = parts
    view = past.view(ports, configsvc.ports.build, platform, {"dry": True})
    with pytest.raises(WouldRecord) as told:
        answers.create_app(view, "one", dict(CAUSE), None)
    assert [event["type"] for event in json.loads(str(told.value))] == ["name.taken", "app.created", "domain.taken"]
    assert ports.log.head().position == 0


def test_a_rehearsal_refuses_what_would_be_refused(parts) -> None:
    ports, platform = parts
    answers.create_app(ports, "one", dict(CAUSE), None)
    view = past.view(ports, configsvc.ports.build, platform, {"dry": True})
    with pytest.raises(Refused, match="one is taken"):
        answers.create_app(view, "one", dict(CAUSE), None)


def test_a_rehearsal_masks_sealed_values() -> None:
    event = ConfigChanged(app=APP, set={"TOKEN": "c2VhbGVk"}, unset=["OLD"])
    assert past.told(Draft("app/x", "hello", event))["data"] == {"app": APP, "set": {"TOKEN": "***"}, "unset": ["OLD"]}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 5))
def test_a_state_rebuilt_in_two_goes_is_that_of_one(first: int, then: int, seed: int) -> None:
    log = fleet_log(400, seed)
    once, twice = past.states(SERVICES), past.states(SERVICES)
    list(past.replay(log, once, 0, max(first, then)))
    list(past.replay(log, twice, 0, min(first, then)))
    list(past.replay(log, twice, min(first, then), max(first, then)))
    assert {name: past.digest(state) for name, state in once.items()} == {
        name: past.digest(state) for name, state in twice.items()
    }


def looks(state: object) -> past.Look:
    """A service's answer about its state."""
    return lambda path: past.look(state, path, 400)


@pytest.mark.parametrize("name", SERVICES)
def test_equal_states_have_no_difference(name: str) -> None:
    one, two = (past.states([name]) for _ in range(2))
    for states in (one, two):
        list(past.replay(fleet_log(400), states, 0, 400))
    assert past.difference(looks(one[name]), looks(two[name])) is None


def test_a_difference_is_named_by_the_way_there() -> None:
    live, again = (past.states(["configsvc"])["configsvc"] for _ in range(2))
    for state in (live, again):
        list(past.replay(fleet_log(400), {"configsvc": state}, 0, 400))
    app = next(app for app in live.apps.values() if app.config)
    key = next(iter(app.config))
    app.config[key] = "other"
    assert past.difference(looks(live), looks(again)) == f"apps.{app.id}.config.{key}"
    del app.config[key]
    assert past.difference(looks(live), looks(again)) == f"apps.{app.id}.config.{key}"


def verified(log: MemoryLog | past.Until, known: Head | None = None) -> past.Check:
    """The last word of a verification."""
    return list(past.verify(log, known))[-1]


def changed(rows: list[chain.Row]) -> list[chain.Row]:
    return [(*row[:9], "eve SHA256:y", *row[10:]) if row[0] == 150 else row for row in rows]


def removed(rows: list[chain.Row]) -> list[chain.Row]:
    return [row for row in rows if row[0] != 150]


def unknown(rows: list[chain.Row]) -> list[chain.Row]:
    """An event of no known type, with hashes that fit."""
    cut, head = rows[:149], Head(rows[148][0], rows[148][-1])
    [made] = chain.make_rows(head, {}, [Draft("s", "x", AppCreated(app=APP, name="x"))], Cause("a", "b"), "t")
    odd = (*made[:4], "app.imagined", *made[5:15])
    return [*cut, (*odd, chain.row_hash(head.hash, odd))]


def test_a_whole_log_is_verified_with_its_head() -> None:
    log = fleet_log(2500)
    found = verified(log)
    assert (found.wrong, found.bad, found.head) == (None, None, log.head())
    assert verified(log, log.head()).wrong is None
    assert verified(MemoryLog()).head == Head(0, chain.GENESIS)


@pytest.mark.parametrize(
    ("harm", "wrong"),
    [
        (changed, "event 150 was changed: its hash does not follow"),
        (removed, "has no event 150"),
        (unknown, "app.imagined"),
    ],
)
def test_the_first_bad_position_is_named(harm: Callable[[list[chain.Row]], list[chain.Row]], wrong: str) -> None:
    log = fleet_log(300)
    log._rows = harm(log._rows)
    found = verified(log)
    assert (found.bad, found.head.position) == (150, 149)
    assert wrong in (found.wrong or "")


def test_a_log_that_was_cut_off_or_written_anew_shows_against_a_noted_head() -> None:
    log = fleet_log(300)
    noted, cut = log.head(), fleet_log(200)
    assert verified(cut).wrong is None
    assert "ends at 200, before the head that was noted, 300" in (verified(cut, noted).wrong or "")
    other = fleet_log(300, seed=2)
    assert verified(other).wrong is None
    assert verified(other, noted).bad == 300


def test_the_answer_of_a_service_is_about_what_it_knows_by_now(parts, tmp_path: Path) -> None:
    ports, _ = parts
    answers.create_app(ports, "one", dict(CAUSE), None)
    whole = past.answer(ports, [])
    assert whole["position"] == 3
    assert whole["parts"]["names"] == past.answer(ports, ["names"])["digest"]
    assert past.difference(partial(past.answer, ports), lambda path: past.look(ports.state, path, 3)) is None


class Busy(MemoryLog):
    """A log to which comes another app whenever EACH were read of it."""

    EACH = 200
    unread = EACH

    def read(self, after: int = 0, limit: int = chain.PAGE) -> list[Recorded[Event]]:
        page = super().read(after, limit)
        self.unread -= len(page)
        if self.unread <= 0:
            self.unread = self.EACH
            app = chain.uuid7()
            self.append([Draft(app_stream(app), "new", AppCreated(app=app, name="new"))], Cause("configsvc", "local"))
        return page


class Asking(FakeContext):
    """A Context whose services answer from states of their own on the log."""

    def call(self, service: str, method: str, **kwargs: Any) -> Any:
        if service not in self.apps:
            projections, state = Projections(self.log), past.states([service])[service]
            projections.add(state)
            self.apps[service] = {"parts": SimpleNamespace(projections=projections, state=state)}
        return past.answer(self.apps[service]["parts"], kwargs["path"])


def test_what_is_recorded_while_a_live_state_is_compared_is_no_difference() -> None:
    log = Busy()
    log._rows = fleet_log(600)._rows
    context = Asking(log=log)
    assert run(context, ["log:replay"]) == 0
    assert b"The live state is what the log says" in context.out
    context.apps["router"]["parts"].state.apps.clear()
    assert run(context, ["log:replay"]) == 1
    assert b"router differs at" in context.out


@pytest.mark.parametrize(
    ("tty", "words", "begins"),
    [
        (False, [], b'{"holds": true'),
        (True, [], b"-----> The log is whole"),
        (False, ["--format", "text"], b"-----> The log is whole"),
        (True, ["--format", "json"], b'{"holds": true'),
    ],
)
def test_a_proof_is_json_where_nobody_looks_on_unless_it_is_asked_for_otherwise(
    tty: bool, words: list[str], begins: bytes
) -> None:
    context = FakeContext(tty=tty, log=fleet_log(5))
    assert run(context, ["log:verify", *words]) == 0
    assert context.out.startswith(begins)
