"""What one key may take of the sessions that all share."""

from collections import Counter

from gitreceiver.ssh.limits import DoorLimits
from gitreceiver.ssh.shares import may_take, refusal

LIMITS = DoorLimits(sessions=16, sessions_per_connection=4)


def taken(*keys: str) -> Counter[str]:
    """What each key in turn gets when it takes all that it may of 16."""
    held: Counter[str] = Counter()
    for key in keys:
        while may_take(key, held, 16):
            held[key] += 1
    return held


def test_a_key_that_is_alone_gets_half():
    assert taken("a") == {"a": 8}


def test_the_next_keys_get_half_of_what_is_left_and_always_something():
    assert taken("a", "b", "c", "d", "e") == {"a": 8, "b": 4, "c": 2, "d": 1, "e": 1}


def test_a_refusal_says_whose_limit_it_is():
    assert refusal("a", Counter(), 0, LIMITS) == ""
    assert refusal("a", Counter(a=4), 4, LIMITS).startswith("This connection has 4 sessions open;")
    assert refusal("a", Counter(a=8), 0, LIMITS).startswith("This key has 8 sessions open,")
    assert refusal("z", Counter(a=8, b=8), 0, LIMITS).startswith("16 sessions are open,")
    assert refusal("b", Counter(a=8), 0, LIMITS) == ""
