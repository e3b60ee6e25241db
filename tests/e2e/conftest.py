"""Real instances for the end-to-end tests."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.harness import Checkout, Instance, running


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One running instance for all tests that only need apps of their own."""
    yield from running(tmp_path_factory.mktemp("shared"), f"e2e-{os.getpid()}", {})


@pytest.fixture(scope="session")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One instance for all tests that kill or stop the platform: see `mortal`. It takes packs of at most 1 MiB."""
    name = f"e2e-{os.getpid()}-killable"
    yield from running(tmp_path_factory.mktemp("killable"), name, {"PUSH_LIMIT": str(1 << 20)})


@pytest.fixture
def mortal(killable: Instance) -> Instance:
    """The instance that may be killed, running when the test begins."""
    killable.up()
    return killable


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[..., Checkout]:
    """Makes checkouts: `checkout(shared, "hello-python")` of an example, or `checkout(instance, ECHO)` of texts."""

    def make(instance: Instance, source: str | Mapping[str, str] = "hello-python") -> Checkout:
        return Checkout.of(source, tmp_path / f"checkout-{os.urandom(3).hex()}", instance)

    return make


@pytest.fixture
def app() -> str:
    """A name that no other test uses."""
    return f"app-{os.urandom(4).hex()}"
