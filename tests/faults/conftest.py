"""What the tests of faults share, and the table that they end with."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.cluster import Cluster
from tests.e2e.harness import Checkout, Instance, passable
from tests.e2e.world import StoredLog
from tests.faults import matrix
from tests.faults.docker_engine import STACK, DockerEngine
from tests.postgres import Server
from tests.rabbitmq import Broker, started


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


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that may be killed."""
    broker = started(tmp_path_factory.mktemp("rabbitmq"))
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A database server that may be killed."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def cluster(broker: Broker, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A process for each service, on that broker and server. Its log is whole at the end."""
    folder = tmp_path_factory.mktemp("cluster")
    passable(folder)
    with server.database() as database:
        urls = {"LOG_URL": database.url, "LOG_OWNER_URL": database.owner_url, "BROKER_URL": broker.url()}
        cluster = Cluster(folder / "home", f"faults-{os.getpid()}-cluster", urls=urls)
        try:
            cluster.start()
            yield cluster
            StoredLog(cluster).check()
        finally:
            cluster.purge()


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The checkout of the app `site`, which is served."""
    checkout = Checkout.of(ECHO, tmp_path_factory.mktemp("site") / "site", cluster)
    checkout.push("site")
    return checkout
