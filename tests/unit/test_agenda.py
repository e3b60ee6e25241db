"""When a process does which item of a hop."""

import itertools

import pytest

from services.agenda import BACK_OFF, LOOK, TRIES, Agenda
from services.chain import Cause
from services.claims import Claims
from services.errors import Unavailable
from services.events import (
    BuildFailed,
    BuildStarted,
    BuildSucceeded,
    DeployFailed,
    DeploySucceeded,
    ImageRestored,
    PushReceived,
    ReleaseCreated,
)
from services.todo import Pending
from tests.unit.story import APP, IMAGE, OTHER, Story, release

TTL = 20.0
count = itertools.count()


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def story():
    return Story()


@pytest.fixture
def process(story, clock):
    """Makes a process that builds, with its agenda and its claims."""

    def make(name, limit=1):
        pending = Pending(PushReceived, (BuildSucceeded, BuildFailed))
        story.projections.add(pending, f"{name} {next(count)}")
        claims = Claims(story.log, name, TTL, clock)
        return Agenda(pending, claims, limit, TTL, monotonic=clock), claims

    return make


def claim(story, claims, push, attempt=1):
    lease = claims.claim(push, BuildStarted(app=push.data.app, attempt=attempt), attempt, "builder")
    story.projections.catch_up()
    return lease


def pass_time(agenda, clock):
    """Go on to when something may be due."""
    clock.now += agenda.rest()


def test_as_many_items_run_at_once_as_may_and_one_of_each_app(process, story):
    agenda, _ = process("one", limit=3)
    first, _, other, _ = story.push(), story.push(), story.push(OTHER), story.push(APP[:-1] + "3")
    assert agenda.take() == [first, other]
    assert agenda.take() == []


def test_the_last_place_is_for_another_actor(process, story):
    agenda, _ = process("one", limit=2)
    first, second = story.push(), story.push(OTHER)
    assert agenda.take() == [first]
    push = first.data.model_copy(update={"app": APP[:-1] + "3"})
    theirs = story.record(push, Cause("test", "neighbour", "local", ""))
    assert agenda.take() == [theirs]
    agenda.dropped(first)
    agenda.dropped(theirs)
    assert agenda.take() == [first, theirs]
    agenda.returned(first)
    assert agenda.take() == [second]


def test_what_was_not_begun_is_taken_again(process, story):
    agenda, _ = process("one")
    push = story.push()
    assert agenda.take() == [push]
    agenda.dropped(push)
    assert agenda.take() == [push]


def test_what_fails_is_due_again_after_a_growing_pause(process, story, clock):
    agenda, _ = process("one")
    push = story.push()
    pauses = []
    for tries in range(1, TRIES):
        assert agenda.take() == [push]
        assert agenda.failed(push) == tries
        assert agenda.take() == []
        pauses.append(agenda.rest())
        pass_time(agenda, clock)
    assert pauses == [*BACK_OFF, *BACK_OFF[-1:] * (TRIES - 1 - len(BACK_OFF))]
    assert sum(pauses) == pytest.approx(108.5)


def test_a_success_between_failures_makes_them_none_in_a_row(process, story, clock):
    agenda, _ = process("one")
    push = story.push()
    agenda.take()
    assert agenda.failed(push) == 1
    agenda.returned(push)
    assert agenda.failed(push) == 1


def test_a_failure_that_does_not_count_is_paused_for_as_well(process, story, clock):
    agenda, _ = process("one")
    push = story.push()
    for _ in range(3 * TRIES):
        assert agenda.take() == [push]
        assert agenda.failed(push, counts=False) == 0
        assert agenda.rest() >= 2
        pass_time(agenda, clock)


def test_what_another_process_holds_takes_no_place_and_is_no_failure(process, story):
    (one, ones), (two, _) = process("one"), process("two")
    held, free = story.push(), story.push(OTHER)
    assert one.take() == [held]
    with ones.renewing(claim(story, ones, held)):
        assert two.take() == [free]
        assert two.rest() <= TTL / 4


def test_a_lost_race_for_a_claim_gives_its_place_to_the_next(process, story):
    (one, ones), (two, twos) = process("one"), process("two")
    held, free = story.push(), story.push(OTHER)
    assert one.take() == two.take() == [held]
    with ones.renewing(claim(story, ones, held)):
        assert claim(story, twos, held) is None
        two.returned(held)
        assert two.take() == [free]


def test_what_waits_gives_its_place_to_the_next_and_is_taken_again_with_its_news(story, clock):
    pending = Pending(ReleaseCreated, (DeploySucceeded, DeployFailed), news=(ImageRestored,))
    story.projections.add(pending)
    agenda = Agenda(pending, Claims(story.log, "one", TTL, clock), 1, TTL, monotonic=clock)
    waits, next_ = story.record(release()), story.record(release(app=OTHER))
    assert agenda.take() == [waits]
    agenda.returned(waits)
    assert agenda.take() == [next_]
    agenda.returned(next_)
    assert agenda.take() == []
    story.record(ImageRestored(app=APP, image=IMAGE, restored=IMAGE, stack=IMAGE))
    assert agenda.take() == [waits]
    agenda.returned(waits)
    assert agenda.take() == []
    clock.now += TTL / 4
    assert agenda.take() == [waits]


def test_a_killed_holders_work_is_taken_over_within_the_time_of_its_lease(process, story, clock):
    (one, ones), (two, twos) = process("one"), process("two")
    push = story.push()
    one.take()
    claim(story, ones, push)
    began = clock.now
    while not two.take():
        pass_time(two, clock)
    assert clock.now - began <= TTL
    assert claim(story, twos, push, attempt=2)


def test_a_holder_that_renews_keeps_its_work_however_long(process, story, clock):
    (_, ones), (two, _) = process("one"), process("two")
    push = story.push()
    lease = claim(story, ones, push)
    for _ in range(20):
        assert two.take() == []
        pass_time(two, clock)
        assert story.log.renew(lease)


def test_ones_own_work_that_failed_is_not_waited_for_as_anothers(process, story, clock):
    agenda, claims = process("one")
    push = story.push()
    agenda.take()
    claim(story, claims, push)
    agenda.failed(push)
    pass_time(agenda, clock)
    assert agenda.take() == [push]


def test_two_processes_do_the_work_of_one_in_half_the_time(process, story, clock):
    def rounds(names):
        workers = [process(name) for name in names]
        pushes = [story.push(f"{APP[:-2]}{number + 10}") for number in range(6)]
        count = 0
        while any(push.id in agenda._pending.items for agenda, _ in workers for push in pushes):
            count += 1
            taken = [(agenda, claims, push) for agenda, claims in workers for push in agenda.take()]
            begun = [(agenda, push) for agenda, claims, push in taken if claim(story, claims, push)]
            for agenda, _, push in taken:
                if (agenda, push) not in begun:
                    agenda.returned(push)
                    begun += [
                        (agenda, p) for p in agenda.take() for a, c in workers if a is agenda and claim(story, c, p)
                    ]
            for agenda, push in begun:
                story.after(push, BuildFailed(app=push.data.app, attempt=1, reason="no", output=None))
                agenda.returned(push)
        return count

    assert rounds(["alone"]) == 6
    assert rounds(["one", "two"]) == 3


def test_with_nothing_to_do_it_looks_now_and_then(process, story, clock):
    agenda, _ = process("one")
    push = story.push()
    agenda.take()
    agenda.failed(push)
    story.after(push, BuildFailed(app=APP, attempt=1, reason="no", output=None))
    assert agenda.take() == []
    assert agenda.rest() == LOOK


def test_a_log_that_does_not_say_who_holds_what_stops_only_this_look(process, story, clock, monkeypatch):
    agenda, _ = process("two")
    push = story.push()
    claim(story, Claims(story.log, "one", TTL, clock), push)
    monkeypatch.setattr(story.log, "leases", unanswered)
    with pytest.raises(Unavailable):
        agenda.take()
    monkeypatch.undo()
    assert agenda.take() == []


def unanswered():
    raise Unavailable("the log's database: busy")
