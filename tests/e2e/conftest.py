"""Real instances for the end-to-end tests, which run in each `--mode`: one process, or one per service."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import postgres
from tests.e2e.cluster import Cluster
from tests.e2e.harness import Checkout, Instance, Runs, passable, started


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs every test in each mode that was asked for; all of one mode, then all of the next."""
    metafunc.parametrize("mode", metafunc.config.getoption("--mode") or ["embedded"], indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is marked `only(mode, why)` for another mode."""
    unfit = [
        item
        for item in items
        if (mark := item.get_closest_marker("only")) and item.callspec.params["mode"] != mark.args[0]
    ]
    config.hook.pytest_deselected(items=unfit)
    items[:] = [item for item in items if item not in unfit]


@pytest.fixture(scope="session", autouse=True)
def mode(request: pytest.FixtureRequest) -> str:
    """How the test's instances run: embedded or cluster."""
    return str(request.param)


@pytest.fixture(scope="session")
def running(mode: str, request: pytest.FixtureRequest) -> Runs:
    """See Runs."""

    @contextmanager
    def run(folder: Path, name: str, settings: Mapping[str, str]) -> Iterator[Instance]:
        passable(folder)
        if mode == "embedded":
            with started(Instance(folder / "home", name, settings)) as instance:
                yield instance
            return
        with postgres.server().database() as database:
            broker = request.getfixturevalue("rabbitmq").url()
            urls = {"LOG_URL": database.url, "LOG_OWNER_URL": database.owner_url, "BROKER_URL": broker}
            with started(Cluster(folder / "home", name, settings, urls=urls)) as instance:
                yield instance

    return run


@pytest.fixture(scope="session")
def shared(running: Runs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One running instance for all tests that only need apps of their own."""
    with running(tmp_path_factory.mktemp("shared"), f"e2e-{os.getpid()}", {}) as instance:
        yield instance


@pytest.fixture(scope="session")
def killable(running: Runs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One instance for all tests that kill or stop the platform: see `mortal`.

    It takes packs of at most 1 MiB, and builds one after the other.
    """
    settings = {"PUSH_LIMIT": str(1 << 20), "BUILD_CONCURRENCY": "1"}
    with running(tmp_path_factory.mktemp("killable"), f"e2e-{os.getpid()}-killable", settings) as instance:
        yield instance


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
