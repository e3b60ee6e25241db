"""Attacks on builds, by users with a key."""

from tests.attacks.means.builds import long_builds
from tests.attacks.neighbour import Neighbour, unharmed


def test_one_keys_long_builds_leave_a_place_to_others(neighbour: Neighbour, user: Neighbour):
    with long_builds(user, 2) as said:
        with unharmed(neighbour):
            pass
        assert not said
    assert all("Application deployed" in text for text in said), "".join(said)
