"""log:undo: what reverses a command, and what nothing reverses."""

from copy import deepcopy
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configsvc import apps, changes, commanded, revert, undo
from services import chain
from services.chain import Cause, Draft, uuid7
from services.decide import commit
from services.errors import PushlogError, Refused
from services.eventlog import PAGE
from services.events import AppDestroyed, AppShredded, app_stream
from tests.unit.story import APP, OTHER
from tests.unit.test_configsvc import DOMAIN, Platform, made

NEWER = "sha256:" + "2" * 64


class Undoing(Platform):
    """A platform whose commands are stories of their own, as the door makes them, and can be undone."""

    def do(self, decide, *args):
        cause = Cause("configsvc", "ann SHA256:x", "local", "a command", correlationid=uuid7())
        return commit(self.log, self.projections, lambda: decide(self.state, *args), cause)

    def undo(self, position):
        command = commanded.command_at(self.log, position)
        command.read_on(self.log)
        return self.do(undo.decide, command, DOMAIN)

    def deploy(self, decide, *args):
        recorded = self.do(decide, *args)
        self.routed(next(event for event in recorded if event.type == "release.created"))
        return recorded[0].position

    @property
    def settings(self):
        app = self.app_state
        return dict(app.config), changes.wanted(app), list(app.domains)


@pytest.fixture
def platform():
    platform = Undoing()
    platform.create()
    platform.routed(platform.released(web="w", worker="k"))
    return platform


SET = (changes.config, "hello", {"A": "x"}, [], True)
SCALE = (changes.scale, "hello", {"worker": 2}, True)
ADD = (changes.domains, "hello", ["shop.test"], [], DOMAIN)
MOVE = (changes.domains, "hello", ["shop.test"], ["hello.example.com"], DOMAIN)


@pytest.mark.parametrize("command", [SET, SCALE, ADD, MOVE], ids=["config", "scale", "domains", "a move"])
def test_a_change_of_settings_is_undone_by_a_release_without_it_and_that_again(platform, command):
    before = platform.settings
    position = platform.deploy(*command)
    after = platform.settings
    undone = platform.undo(position)
    assert platform.settings == before
    assert made(undone).change.startswith("Undo: ")
    assert (made(undone).config, made(undone).formation, made(undone).domains) == before
    platform.undo(undone[0].position)
    assert platform.settings == after


def test_any_event_of_a_command_stands_for_all_of_it(platform):
    before, position = platform.settings, platform.deploy(*MOVE)
    platform.undo(position + 1)
    assert platform.settings == before


def test_what_was_set_elsewhere_since_stays(platform):
    position = platform.deploy(*SET)
    platform.deploy(changes.config, "hello", {"B": "y"}, [], True)
    platform.undo(position)
    assert platform.app_state.config == {"B": "y"}


@pytest.mark.parametrize(
    ("command", "again", "said"),
    [
        (SET, (changes.config, "hello", {}, ["A"], True), "config: A"),
        (SCALE, (changes.scale, "hello", {"worker": 3}, True), "scale: worker"),
        (ADD, (changes.domains, "hello", [], ["shop.test"], DOMAIN), "domain: shop.test"),
    ],
)
def test_what_was_changed_again_since_is_refused_with_where_and_by_whom(platform, command, again, said):
    position, later = platform.deploy(*command), platform.deploy(*again)
    with pytest.raises(Refused, match=rf"^{said} was changed again at position {later} by ann; undo that first"):
        platform.undo(position)


def test_an_undo_twice_is_refused(platform):
    position = platform.deploy(*SET)
    again = platform.undo(position)[0].position
    with pytest.raises(Refused, match=f"config: A was changed again at position {again} by ann"):
        platform.undo(position)


def meanwhile(platform, decide, other):
    """`decide`, during whose first time another process does something else."""
    others = iter([other])

    def decided(state, *args):
        decision = decide(state, *args)
        for other in others:
            other()
        return decision

    return decided


@pytest.mark.parametrize(
    ("command", "image"),
    [(SET, True), (SCALE, True), (ADD, True), (MOVE, True), (SET, False), (ADD, False), (MOVE, False)],
)
def test_of_two_undos_at_once_one_is_refused(command, image):
    platform = Undoing()
    platform.create()
    if image:
        platform.routed(platform.released(web="w", worker="k"))
    before = platform.settings
    position = platform.do(*command)[0].position
    target = commanded.command_at(platform.log, position)

    def undone(state):
        target.read_on(platform.log)
        return undo.decide(state, target, DOMAIN)

    def faster():
        decision = undone(platform.state)
        platform.log.append(decision.drafts, Cause("configsvc", "bob SHA256:y", correlationid=uuid7()))

    with pytest.raises(Refused, match=r"was changed again at position \d+ by bob; undo that first"):
        platform.do(meanwhile(platform, undone, faster))
    assert platform.settings == before


def test_a_key_that_was_set_again_while_it_is_undone_is_not_lost(platform):
    position = platform.deploy(*SET)
    target = commanded.command_at(platform.log, position)

    def undone(state):
        target.read_on(platform.log)
        return undo.decide(state, target, DOMAIN)

    def set_again():
        again = changes.config(platform.state, "hello", {"A": "newer"}, [], True)
        platform.log.append(again.drafts, Cause("configsvc", "bob SHA256:y", correlationid=uuid7()))

    with pytest.raises(Refused, match=r"config: A was changed again at position \d+ by bob"):
        platform.do(meanwhile(platform, undone, set_again))
    assert platform.app_state.config["A"] == "newer"


def test_of_two_that_have_a_destroyed_app_back_at_once_one_is_refused(platform):
    target = commanded.command_at(platform.log, destroyed(platform))

    def undone(state):
        target.read_on(platform.log)
        return undo.decide(state, target, DOMAIN)

    def faster():
        platform.log.append(undone(platform.state).drafts, Cause("configsvc", "bob SHA256:y", correlationid=uuid7()))

    with pytest.raises(Refused, match="hello was restored since"):
        platform.do(meanwhile(platform, undone, faster))
    assert platform.state.names == {"hello": APP}


def test_what_a_grace_ended_with_is_said_to_be_for_ever(platform):
    position = destroyed(platform)
    cause = Cause.after("configsvc", platform.log.read(position - 1, 1)[0])
    [shredded] = platform.log.append([Draft(app_stream(APP), "hello", AppShredded(app=APP, name="hello"))], cause)
    with pytest.raises(Refused, match="hello was shredded, with its key"):
        platform.undo(shredded.position)


@pytest.mark.parametrize(
    "commands",
    [
        (SET, (changes.config, "hello", {"A": "y"}, [], True)),
        (SCALE, (changes.scale, "hello", {"worker": 3}, True)),
        (ADD, (changes.domains, "hello", [], ["shop.test"], DOMAIN)),
    ],
    ids=["config", "scale", "domains"],
)
def test_what_came_since_is_no_hindrance_once_it_is_undone(platform, commands):
    before, (first, second) = platform.settings, [platform.deploy(*command) for command in commands]
    platform.undo(second)
    platform.undo(first)
    assert platform.settings == before


def test_a_command_that_an_undo_of_its_undo_brought_back_is_undone_as_ever(platform):
    before, position = platform.settings, platform.deploy(*SET)
    platform.undo(platform.undo(position)[0].position)
    platform.undo(position)
    assert platform.settings == before


def test_what_is_named_as_in_the_way_can_be_undone_until_nothing_is(platform):
    before = platform.settings
    first, *later = [platform.deploy(changes.config, "hello", {"A": value}, [], True) for value in "xyz"]
    again = platform.undo(later[1])[0].position
    platform.undo(again)
    for _ in later:
        with pytest.raises(Refused, match=r"config: A was changed again at position \d+ .*; undo that first") as told:
            platform.undo(first)
        platform.undo(int(str(told.value).split("position ")[1].split()[0]))
    platform.undo(first)
    assert platform.settings == before


def test_a_rollback_is_undone_with_its_code(platform):
    platform.deploy(*SET)
    platform.routed(platform.released(NEWER, web="w2"))
    before = platform.settings
    position = platform.deploy(revert.rollback, "hello", 1, (), DOMAIN)
    release = made(platform.undo(position))
    assert (release.image, release.processes, platform.settings) == (NEWER, {"web": "w2"}, before)


def test_a_rollback_before_a_push_is_not_undone(platform):
    platform.routed(platform.released(NEWER, web="w2"))
    position = platform.deploy(revert.rollback, "hello", 1, (), DOMAIN)
    platform.routed(platform.released("sha256:" + "3" * 64, web="w3"))
    with pytest.raises(Refused, match="release: v3 was changed again at position"):
        platform.undo(position)
    platform.deploy(revert.rollback, "hello", 3, (), DOMAIN)
    assert made(platform.undo(position)).image == NEWER


MANY = [f"d{number}.example.org" for number in range(2 * PAGE + 7)]


@pytest.mark.parametrize("which", [0, 1, PAGE, len(MANY) - 1])
def test_a_command_that_recorded_more_than_a_page_is_undone_whole(platform, which):
    before = platform.settings
    position = platform.deploy(changes.domains, "hello", MANY, [], DOMAIN)
    platform.undo(position + which)
    assert platform.settings == before


def test_an_app_with_more_domains_than_a_page_comes_back_with_all(platform):
    platform.deploy(changes.domains, "hello", MANY, [], DOMAIN)
    before = platform.settings
    platform.undo(destroyed(platform))
    assert platform.settings == before


def test_a_push_is_not_undone_and_rollback_is_named(platform):
    for position in [event.position for event in platform.log.read() if event.type in ("push.received",)]:
        with pytest.raises(Refused, match=r"push\.received at position \d+ came of a push .*: rollback hello"):
            platform.undo(position)


def test_of_what_is_not_about_the_app_nothing_is_decoded(platform, monkeypatch):
    """A log may be long, and whoever asked waits ten seconds at most."""
    for number in range(400):
        platform.create(f"other-{number}", str(UUID(int=number)))
    before, position = platform.settings, platform.deploy(*SET)
    for number in range(400, 800):
        platform.create(f"other-{number}", str(UUID(int=number)))
    decoded, recorded = [], chain.recorded
    monkeypatch.setattr(commanded.chain, "recorded", lambda row: decoded.append(row[0]) or recorded(row))
    target = commanded.command_at(platform.log, position)
    assert len(decoded) < 4 * PAGE < platform.log.head().position / 2  # those around the position, and the app's
    assert target.before.apps[APP].config == before[0]
    platform.undo(position)
    assert platform.settings == before


def test_a_position_that_is_none_is_refused(platform):
    with pytest.raises(Refused, match="the log has no position 900"):
        platform.undo(900)


# Destroyed apps


def destroyed(platform, *now):
    return platform.do(apps.destroy, "hello", *now)[-1].position


def test_a_destroyed_app_comes_back_with_all_that_it_had_and_a_release_of_what_served(platform):
    platform.deploy(*SET)
    platform.deploy(*MOVE)
    platform.failed(platform.do(*SCALE)[1])
    before, served = platform.settings, deepcopy(platform.app_state.current.data)
    position = destroyed(platform)
    assert platform.state.names == {}
    back = made(platform.undo(position))
    assert platform.settings == before
    assert (back.change, back.deploy) == ("Restore after apps:destroy", True)
    assert revert.content(back) == revert.content(served)
    statuses = [r.status for r in platform.app_state.releases.values()]
    assert statuses == ["retired", "retired", "current", "failed", "pending"]


def test_a_deploy_that_ended_after_its_app_did_is_what_served(platform):
    later = next(event for event in platform.do(*SET) if event.type == "release.created")
    position = destroyed(platform)
    platform.routed(later)
    assert revert.content(made(platform.undo(position))) == revert.content(later.data)


def test_an_app_whose_next_release_was_under_way_comes_back_without_another_one(platform):
    platform.do(*SET)
    restored = platform.undo(destroyed(platform))
    assert "release.created" not in [event.type for event in restored]
    assert [r.status for r in platform.app_state.releases.values()] == ["current", "pending"]


def test_that_is_undone_by_destroying_it_again_and_so_on(platform):
    position = destroyed(platform)
    restored = platform.undo(position)[0].position
    again = platform.undo(restored)[0].position
    assert APP in platform.state.gone
    with pytest.raises(Refused, match="hello was restored since"):
        platform.undo(position)
    platform.undo(again)
    assert platform.state.names == {"hello": APP}


def test_a_restored_app_that_was_changed_since_is_not_ended_by_an_undo(platform):
    restored = platform.undo(destroyed(platform))[0].position
    platform.do(*SET)
    with pytest.raises(Refused, match=r"hello has more in it since config\.changed .*: apps:destroy hello"):
        platform.undo(restored)


def test_a_name_that_is_anothers_by_now_keeps_a_destroyed_app_away(platform):
    position = destroyed(platform)
    platform.create(app=OTHER)
    with pytest.raises(Refused, match="hello is another app's name by now"):
        platform.undo(position)


def test_a_domain_that_is_anothers_by_now_keeps_a_destroyed_app_away(platform):
    platform.deploy(*ADD)
    position = destroyed(platform)
    platform.create("other", OTHER)
    platform.do(changes.domains, "other", ["shop.test"], [], DOMAIN)
    with pytest.raises(Refused, match=r"shop\.test belongs to the app other"):
        platform.undo(position)


def test_a_shredded_app_stays_away(platform):
    position = destroyed(platform)
    platform.record(AppShredded(app=APP, name="hello"))
    with pytest.raises(Refused, match="hello was shredded"):
        platform.undo(position)


def test_an_app_destroyed_for_good_stays_away(platform):
    with pytest.raises(Refused, match="hello was shredded"):
        platform.undo(destroyed(platform, True))


def test_an_app_that_an_older_version_destroyed_stays_away_as_that_shredded_at_once(platform, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(AppDestroyed, "SCHEMA", 1)
        position = destroyed(platform)
    with pytest.raises(Refused, match="hello was shredded"):
        platform.undo(position)


def test_a_change_of_an_app_that_is_destroyed_since_is_refused(platform):
    position = platform.deploy(*SET)
    destroyed(platform)
    with pytest.raises(Refused, match="hello was destroyed since"):
        platform.undo(position)


def test_an_app_that_was_only_created_is_ended(platform):
    created = platform.create("other", OTHER)[0].position
    platform.undo(created)
    assert platform.state.names == {"hello": APP}


def test_an_app_that_was_used_is_not_ended_by_undoing_its_creation(platform):
    with pytest.raises(Refused, match=r"hello has more in it since push\.received .*: apps:destroy hello"):
        platform.undo(1)


# Any sequence

keys = st.sampled_from("ABC")
hosts = st.sampled_from(["a.test", "b.test", "c.test", "hello.example.com"])
commands = st.one_of(
    st.tuples(st.just("set"), st.dictionaries(keys, st.just("value"), min_size=1), st.lists(keys, max_size=2)),
    st.tuples(st.just("scale"), st.dictionaries(st.sampled_from(["web", "worker"]), st.integers(0, 3), min_size=1)),
    st.tuples(st.just("domains"), st.lists(hosts, max_size=2, unique=True), st.lists(hosts, max_size=2, unique=True)),
    st.tuples(st.just("rollback"), st.integers(1, 6)),
    st.tuples(st.just("push"), st.integers(1, 9)),
)


def perform(platform, number, command):
    """Do what hypothesis says, if it can be done; returns the position of what it recorded, or None."""
    match command:
        case "set", values, unset:
            sealed = {key: f"{value} {number}" for key, value in values.items()}
            return first(platform.do(changes.config, "hello", sealed, unset, True), platform)
        case "scale", formation:
            return first(platform.do(changes.scale, "hello", formation, True), platform)
        case "domains", add, remove:
            return first(platform.do(changes.domains, "hello", add, remove, DOMAIN), platform)
        case "rollback", to:
            return first(platform.do(revert.rollback, "hello", to, (), DOMAIN), platform)
        case "push", image:
            platform.routed(platform.released("sha256:" + str(image) * 64, web="w", worker="k"))
    return None


def first(recorded, platform):
    for event in recorded:
        if event.type == "release.created":
            platform.routed(event)
    return recorded[0].position if recorded else None


@settings(max_examples=60, deadline=None)
@given(st.lists(commands, min_size=1, max_size=6))
def test_the_last_command_of_any_sequence_is_undone_to_what_was_before_it(sequence):
    platform = Undoing()
    platform.create()
    platform.routed(platform.released(web="w", worker="k"))
    for number, command in enumerate(sequence):
        before, code = platform.settings, undo.code_of(platform.app_state.base.data)
        try:
            position = perform(platform, number, command)
        except PushlogError:
            continue
        if position is None:
            continue
        after = platform.settings
        undone = platform.undo(position)
        assert platform.settings == before
        assert undo.code_of(made(undone)) == code
        again = platform.undo(undone[0].position)
        assert platform.settings == after
        first(again, platform)
