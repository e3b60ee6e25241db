"""Who has to go when many connect and do not log in, and how long a key exchange waits."""

import pytest

from gitreceiver.ssh.limits import DoorLimits
from gitreceiver.ssh.startups import Exchanges, Startups, source

LIMITS = DoorLimits(
    logins=4, logins_per_address=2, exchanges=10, exchanges_per_second=2, exchange_wait=5, failure_cost=4, addresses=3
)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exchanges(clock: Clock) -> Exchanges:
    return Exchanges(LIMITS, clock)


def entering(*each: tuple[str, str]) -> tuple[Startups[str], list[str | None]]:
    startups: Startups[str] = Startups(LIMITS)
    return startups, [startups.enter(*one) for one in each]


@pytest.mark.parametrize(
    ("host", "counts_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_client_counts_as_its_network_of_64_bits(host, counts_as):
    assert source(host) == counts_as


def test_beyond_its_share_an_address_loses_its_own_oldest_connection():
    _, evicted = entering(("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a"), ("a4", "a"))
    assert evicted == [None, None, None, "a1", "a2"]


def test_beyond_the_total_the_oldest_of_the_address_with_most_goes():
    _, evicted = entering(("a1", "a"), ("b1", "b"), ("b2", "b"), ("c1", "c"), ("d1", "d"))
    assert evicted[-1] == "b1"


def test_where_all_have_as_many_the_oldest_of_all_goes():
    _, evicted = entering(("a1", "a"), ("b1", "b"), ("c1", "c"), ("d1", "d"), ("e1", "e"), ("f1", "f"))
    assert evicted[-2:] == ["a1", "b1"]


def test_who_has_logged_in_or_left_makes_room():
    startups, _ = entering(("a1", "a"), ("a2", "a"))
    startups.leave("a1")
    startups.leave("a1")
    assert startups.enter("a3", "a") is None
    assert len(startups) == 2


def test_a_burst_of_key_exchanges_has_its_turn_at_once_and_those_after_it_one_by_one(exchanges):
    assert [exchanges.wait("a") for _ in range(12)] == [0.0] * 10 + [0.5, 1.0]


def test_what_would_wait_too_long_is_refused_and_costs_nothing_more(exchanges, clock):
    waits = [exchanges.wait("a") for _ in range(40)]
    assert waits[19:21] == [5.0, None]
    clock.now += 0.5
    assert exchanges.wait("a") == 5.0


def test_another_address_does_not_wait(exchanges):
    for _ in range(40):
        exchanges.wait("a")
    assert exchanges.wait("b") == 0.0


def test_time_gives_the_burst_back_and_no_more(exchanges, clock):
    for _ in range(40):
        exchanges.wait("a")
    clock.now += 3600
    assert [exchanges.wait("a") for _ in range(11)] == [0.0] * 10 + [0.5]


def test_failed_logins_cost_turns_but_never_lock_out_who_comes_next(exchanges):
    exchanges.failed("a")
    assert [exchanges.wait("a") for _ in range(7)] == [0.0] * 6 + [0.5]
    for _ in range(1000):
        exchanges.failed("a")
    assert exchanges.wait("a") == 5.0
    assert exchanges.wait("a") is None


def test_a_login_with_a_key_gives_back_what_others_of_its_address_lost_by_failing(exchanges):
    for _ in range(1000):
        exchanges.failed("a")
    exchanges.wait("a")
    exchanges.succeeded("a")
    assert [exchanges.wait("a") for _ in range(10)] == [0.0] * 9 + [0.5]


def test_a_login_gives_back_no_turn_that_was_used_and_none_twice(exchanges, clock):
    for _ in range(20):
        exchanges.wait("a")
    exchanges.succeeded("a")
    assert exchanges.wait("a") is None
    exchanges.failed("b")
    clock.now += 2
    exchanges.succeeded("b")
    assert [exchanges.wait("b") for _ in range(11)] == [0.0] * 10 + [0.5]


def test_as_many_addresses_are_remembered_as_are_allowed_those_that_came_last(exchanges):
    for _ in range(15):
        exchanges.wait("a")
    for name in ("b", "c", "d"):
        exchanges.wait(name)
    assert exchanges.wait("a") == 0.0
