"""Attacks on the disk, by users with a key."""

from tests.attacks.means import disk
from tests.attacks.neighbour import Neighbour, unharmed
from tests.e2e.harness import Instance, size, wait_for

PUSHES = 4


def test_small_pushes_of_large_trees_whose_builds_fail_fill_no_disk_and_delay_nobody(
    instance: Instance, neighbour: Neighbour, user: Neighbour
):
    blobs, repositories = instance.home / "blobs", instance.home / "repositories"
    before, there = size(blobs) + size(repositories), set(repositories.iterdir())

    with unharmed(neighbour), disk.hollow_pushes(user, PUSHES) as said:
        pass

    assert len(said) == PUSHES
    assert all("Procfile: there is none" in text for text in said), said
    wait_for(lambda: not list((blobs / "sources").iterdir()), "the end of the tars")
    assert size(blobs) + size(repositories) - before < disk.MIB
    for number in (1, 2):
        instance.pushlog("apps:destroy", f"{user.app}-{number}", "--force", "--now")
    wait_for(lambda: set(repositories.iterdir()) == there, "the end of the repositories")
