"""Attacks by commands that read much, by users with a key."""

from tests.attacks.means.reading import followers
from tests.attacks.neighbour import Neighbour, unharmed
from tests.e2e.harness import wait_for


def test_many_who_follow_an_app_that_prints_without_end_delay_nobody_else(neighbour: Neighbour, user: Neighbour):
    with followers(user, 40), unharmed(neighbour) as felt:
        wait_for(lambda: len(felt.commands) > 20, "commands of the neighbour", timeout=60)
    user.ssh("apps:destroy", user.app, "--force")
