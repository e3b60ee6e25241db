"""Claiming work."""

import threading

import pytest

from services.claims import Claims
from services.decide import conclude
from services.errors import LeaseLost, Unavailable
from services.eventlog import Lease
from services.events import BuildFailed, BuildStarted
from tests.e2e.harness import wait_for
from tests.unit.story import APP, Story

TTL = 20.0


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def story():
    return Story()


@pytest.fixture
def clock():
    return Clock()


def started(attempt=1):
    return BuildStarted(app=APP, attempt=attempt)


def failed():
    return BuildFailed(app=APP, attempt=1, reason="no", output=None)


def watch(claims, work, clock):
    """Look as often as a watcher does until a lease that nobody renews has run out."""
    for _ in range(5):
        found = claims.free(work)
        clock.now += TTL / 4
    return found


def test_of_two_holders_only_the_first_gets_the_work(story, clock):
    push = story.push()
    one, two = (Claims(story.log, name, TTL, clock) for name in ("one", "two"))
    assert one.claim(push, started(), 1, "builder")
    assert two.claim(push, started(), 1, "builder") is None


def test_of_two_holders_that_both_saw_it_free_the_log_lets_one(story, clock):
    push = story.push()
    one, two = (Claims(story.log, name, TTL, clock) for name in ("one", "two"))
    assert two.free(push.id)
    assert one.claim(push, started(), 1, "builder")
    story.log.drop_leases()
    assert two.claim(push, started(), 1, "builder") is None


def test_a_lease_that_is_renewed_stays_its_holders(story, clock):
    push = story.push()
    one, two = (Claims(story.log, name, TTL, clock) for name in ("one", "two"))
    lease = one.claim(push, started(), 1, "builder")
    for _ in range(5):
        assert not two.free(push.id)
        clock.now += TTL - 1
        assert story.log.renew(lease)
    assert not two.free(push.id)


def test_a_lease_that_was_seen_unchanged_for_its_time_is_free(story, clock):
    push = story.push()
    one, two = (Claims(story.log, name, TTL, clock) for name in ("one", "two"))
    one.claim(push, started(), 1, "builder")
    assert not two.free(push.id)
    assert watch(two, push.id, clock)
    assert two.claim(push, started(2), 2, "builder")


def test_a_lease_is_not_given_up_while_nobody_looked(story, clock):
    push = story.push()
    one, two = (Claims(story.log, name, TTL, clock) for name in ("one", "two"))
    one.claim(push, started(), 1, "builder")
    assert not two.free(push.id)
    clock.now += 10 * TTL
    assert not two.free(push.id)
    assert watch(two, push.id, clock)


def test_a_holder_that_was_found_silent_is_so_until_it_renews(story, clock):
    push = story.push()
    one, two = (Claims(story.log, name, TTL, clock) for name in ("one", "two"))
    lease = one.claim(push, started(), 1, "builder")
    assert watch(two, push.id, clock)
    clock.now += 10 * TTL
    assert two.free(push.id)
    story.log.renew(lease)
    assert not two.free(push.id)


def test_a_lease_outlives_a_log_that_does_not_answer_for_a_moment(story, clock):
    push, renewed = story.push(), threading.Event()

    class Log(type(story.log)):
        def renew(self, lease):
            if not failed_once.is_set():
                failed_once.set()
                raise Unavailable("the log's database: busy")
            renewed.set()
            return True

    failed_once = threading.Event()
    claims = Claims(Log(), "one", 0.02, clock)
    with claims.renewing(claims.claim(push, started(), 1, "builder")):
        assert renewed.wait(10)
    assert failed_once.is_set()


def test_a_holder_that_slept_finds_its_result_refused(story, clock):
    push = story.push()
    one, two = (Claims(story.log, name, TTL, clock) for name in ("one", "two"))
    late = one.claim(push, started(), 1, "builder")
    watch(two, push.id, clock)
    two.claim(push, started(2), 2, "builder")
    before = story.log.head()
    with pytest.raises(LeaseLost):
        conclude(story.log, push, failed(), "builder", late)
    assert story.log.head() == before
    assert not story.log.renew(late)


def test_a_holder_may_take_up_again_what_it_let_go(story, clock):
    push = story.push()
    claims = Claims(story.log, "one", TTL, clock)
    with claims.renewing(claims.claim(push, started(), 1, "builder")):
        assert not claims.free(push.id)
    assert claims.free(push.id)
    assert claims.claim(push, started(2), 2, "builder")


def test_work_without_a_lease_is_concluded_once(story):
    push = story.push()
    assert conclude(story.log, push, failed(), "builder")
    assert not conclude(story.log, push, failed(), "builder")


def test_a_role_is_one_processs_until_it_lets_it_go(story, clock):
    one, two = (Claims(story.log, name, 0.04, clock) for name in ("one", "two"))
    entered = threading.Event()

    def wait():
        with two.playing("router"):
            entered.set()

    with one.playing("router") as still:
        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        assert not entered.wait(0.2)
        assert still()
    assert entered.wait(10)
    waiting.join(10)


def test_a_role_is_lost_when_another_process_took_it(story, clock):
    one = Claims(story.log, "one", 0.04, clock)
    with one.playing("router") as still:
        [(lease, beat)] = story.log.leases().values()
        lost = threading.Event()
        while not story.log.take(Lease(lease.work, "two", 2), (lease, beat)):
            [(lease, beat)] = story.log.leases().values()
        while still():
            lost.wait(0.01)
    assert [held.holder for held, _ in story.log.leases().values()] == ["two"]


def test_who_is_alone_plays_every_role_without_a_lease(story, clock):
    with Claims(story.log, "one", TTL, clock, alone=True).playing("router") as still:
        assert still()
        assert story.log.leases() == {}


def test_a_role_whose_renewing_failed_for_any_reason_is_not_believed_to_be_held(story, clock, monkeypatch):
    one, over = Claims(story.log, "one", 0.04, clock), threading.Event()

    def renew(lease):
        over.set()
        raise MemoryError

    monkeypatch.setattr(threading, "excepthook", lambda failed: None)
    with one.playing("router") as still:
        monkeypatch.setattr(story.log, "renew", renew)
        assert over.wait(5)
        wait_for(lambda: not still(), "the role's end")
