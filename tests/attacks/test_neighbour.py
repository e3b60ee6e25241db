"""What the attacks of the other modules rest on."""

from tests.attacks.neighbour import Neighbour, unharmed
from tests.attacks.places import Place
from tests.e2e.harness import Instance


def test_the_neighbour_has_an_address_of_their_own_and_is_unharmed_without_an_attack(
    instance: Instance, neighbour: Neighbour, stranger: Place
):
    with unharmed(neighbour) as felt:
        stranger.connect(instance.ssh_port).close()
    assert felt.commands
    assert felt.requests
    assert neighbour.place.address != stranger.address
    origins = {event["origin"].rpartition(":")[0] for event in instance.events(neighbour.app) if event["origin"]}
    assert origins == {neighbour.place.address}
