"""Pushlog is stopped, upgraded and started while apps serve. The next version is this one with a changed event."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import cluster, harness
from tests.e2e.apps import ECHO
from tests.e2e.cluster import Cluster
from tests.e2e.harness import ROOT, Checkout, Instance, Poller, Runs, wait_for
from tests.e2e.world import serving

Checkouts = Callable[..., Checkout]

FOLDERS = ("services", "gitreceiver", "builder", "configsvc", "deployer", "router", "cli")
CHANGES = {
    "services/version.py": [('VERSION = "', 'VERSION = "9.')],
    "services/events.py": [
        ('type="build.started", emitter="builder",', 'type="build.started", emitter="builder", schema=2,'),
        (
            '    """A builder claimed the push, for the `attempt`th time."""\n',
            '    """A builder claimed the push, for the `attempt`th time."""\n\n    host: str = "a new one"\n',
        ),
        (
            "class CloudEvent:\n",
            'UPCASTERS["build.started", 1] = lambda data: {**data, "host": "unknown"}\n\n\nclass CloudEvent:\n',
        ),
    ],
    "router/templates/nginx.conf.j2": [("events {", "# of the next version\nevents {")],
}
"""What the next version does otherwise: (file, [(text, text instead)])."""
TOO_NEW = "the log holds build.started in schema 2, not in 1 to 1; upgrade Pushlog"


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the next version."""
    tree = tmp_path_factory.mktemp("next")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file, changes in CHANGES.items():
        text = (tree / file).read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} in {file}"
            text = text.replace(old, new)
        (tree / file).write_text(text)
    return tree


@pytest.fixture
def change_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Makes all that is run from now on be of the checkout at a path."""

    def change(tree: Path) -> None:
        monkeypatch.setattr(harness, "ROOT", tree)
        monkeypatch.setattr(cluster, "ROOT", tree)

    yield change
    change(ROOT)


@pytest.fixture
def instance(running: Runs, tmp_path: Path) -> Iterator[Instance]:
    """A running instance of the present version. It is purged by whichever version is there at the end."""
    with running(tmp_path, f"e2e-{os.getpid()}-upgrade", {}) as instance:
        yield instance


def upgrade(instance: Instance, change: Callable[[], None]) -> None:
    """Do as docs/operating.md says."""
    instance.down()
    change()
    if isinstance(instance, Cluster):
        instance.pushlog("prepare")
    instance.up()


def refusal(instance: Instance) -> str:
    """What is said when a version does not start."""
    if isinstance(instance, Cluster):
        service = instance.begin("builder")
        assert service.wait() == 1
        instance.end(0)
        return service.words
    done = instance.pushlog("up", "--detach", check=False)
    assert done.returncode == 1
    return done.stderr


def test_an_upgrade_and_a_refused_downgrade_cost_no_request(
    instance: Instance,
    next_version: Path,
    change_version: Callable[[Path], None],
    checkout: Checkouts,
    app: str,
) -> None:
    source = checkout(instance, ECHO)
    source.push(app)
    container, master = serving(instance, app)["Id"], (instance.home / "nginx/nginx.pid").read_text()

    with Poller(instance, app) as visitor:
        upgrade(instance, lambda: change_version(next_version))
        assert instance.pushlog("version").stdout.startswith("pushlog version 9.")
        config = instance.home / "nginx/current/nginx.conf"
        wait_for(lambda: "# of the next version" in config.read_text(), "nginx's new configuration")
        (before,) = (event for event in instance.events(app) if event["type"] == "build.started")
        assert (before["schemaversion"], before["data"]["host"]) == (1, "unknown")
        assert serving(instance, app)["Id"] == container

        source.edit("app.py", 'VERSION = "one"', 'VERSION = "two"')
        source.commit()
        source.push(app)
        started = [event for event in instance.events(app) if event["type"] == "build.started"]
        assert [event["schemaversion"] for event in started] == [1, 2]
        container = serving(instance, app)["Id"]

        instance.down()
        change_version(ROOT)
        words = refusal(instance)
        assert TOO_NEW in words
        assert "Traceback" not in words
        seen = len(visitor.answers)
        wait_for(lambda: len(visitor.answers) > seen + 5, "answers while no version runs")
        change_version(next_version)
        instance.up()
        assert instance.ssh("apps:exists", app).returncode == 0
        assert serving(instance, app)["Id"] == container
        assert (instance.home / "nginx/nginx.pid").read_text() == master

    assert visitor.failures == []
    assert visitor.phases() == ["one", "two"]
