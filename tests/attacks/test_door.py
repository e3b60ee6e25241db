"""Attacks on the SSH door, by strangers and by users with a key."""

from tests.attacks.means import door
from tests.attacks.neighbour import Felt, Neighbour, unharmed
from tests.attacks.places import Place
from tests.e2e.harness import Instance, wait_for

ENOUGH = 15
"""Commands of the neighbour that an attack lasts for."""


def felt_enough(felt: Felt) -> None:
    """Go on until the neighbour has done something meanwhile."""
    already = len(felt.commands)
    wait_for(lambda: felt.failures or len(felt.commands) >= already + ENOUGH, "the neighbour's commands", 60)


def test_silent_connections_of_a_stranger_keep_nobody_out(instance: Instance, neighbour: Neighbour, stranger: Place):
    with unharmed(neighbour) as felt, door.silent_logins(instance, stranger):
        felt_enough(felt)


def test_a_flood_of_key_exchanges_delays_nobody_else(instance: Instance, neighbour: Neighbour, stranger: Place):
    with unharmed(neighbour) as felt, door.key_exchanges(instance, stranger):
        felt_enough(felt)


def test_one_keys_idle_sessions_leave_room_for_all_others(instance: Instance, neighbour: Neighbour, user: Neighbour):
    with unharmed(neighbour) as felt, door.idle_sessions(instance, user) as told:
        felt_enough(felt)
    assert set(told) == {" !     This key has 128 sessions open, which is its share; wait for one to end.\n"}
