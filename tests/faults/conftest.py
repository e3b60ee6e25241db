"""What the tests of faults share, and the table that they end with."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.harness import Checkout, Instance
from tests.faults import matrix
from tests.faults.docker_engine import STACK, DockerEngine


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Writes the table of faults."""
    if lines := matrix.table():
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def docker_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    """A Docker Engine of the tests' own, with the stack image in it. Needs root."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it runs a Docker Engine of its own")
    folder = tmp_path_factory.mktemp("docker")
    engine = DockerEngine(folder)
    try:
        engine.start()
        engine.load(STACK)
        yield engine
    finally:
        engine.remove()


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[..., Checkout]:
    """Makes checkouts of texts by name: `checkout(instance, ECHO)`."""

    def make(instance: Instance, source: str | Mapping[str, str]) -> Checkout:
        return Checkout.of(source, tmp_path / f"checkout-{os.urandom(3).hex()}", instance)

    return make


@pytest.fixture
def app() -> str:
    """A name that no other test uses."""
    return f"app-{os.urandom(4).hex()}"
