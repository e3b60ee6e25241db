"""One instance that all attacks are made on, its neighbour, and a stranger: each at an address of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.neighbour import Neighbour
from tests.attacks.places import Place, place
from tests.e2e.harness import Instance, passable, started


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """The instance, listening on every address."""
    folder = tmp_path_factory.mktemp("attacked")
    passable(folder)
    with started(Instance(folder / "home", f"attacked-{os.getpid()}")) as instance:
        yield instance


@pytest.fixture(scope="session")
def neighbour(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:
    """Somebody else, whose app serves."""
    with place() as at:
        made = Neighbour(instance, at, tmp_path_factory.mktemp("neighbour"))
        made.push()
        yield made


@pytest.fixture
def stranger() -> Iterator[Place]:
    """Where an attack comes from; a fresh address for each test."""
    with place() as at:
        yield at


@pytest.fixture
def user(instance: Instance, tmp_path: Path) -> Iterator[Neighbour]:
    """Somebody with a key who attacks; the key is removed at the end."""
    with place() as at:
        made = Neighbour(instance, at, tmp_path, f"user-{os.urandom(3).hex()}")
        yield made
        instance.pushlog("ssh-keys:remove", made.name)
