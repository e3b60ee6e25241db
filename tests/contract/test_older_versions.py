"""A log that an older version wrote is taken over as it is: logs/<version>.sql is one, with the master key on top.

Each version that is released leaves such a log here, and none is ever edited.
"""

import importlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from gitreceiver.backup import replay
from services.chain import Cause, Draft, canonical
from services.eventlog import SqlLog, open_log
from services.events import BuildFailed, work_stream
from services.keyring import Keyring
from services.projections import Projections
from services.runner import SERVICES

VERSIONS = sorted((Path(__file__).parent / "logs").glob("*.sql"))
CAUSE = Cause("builder", "local")


@pytest.fixture(params=VERSIONS, ids=lambda path: path.stem)
def stored(request: pytest.FixtureRequest) -> str:
    """A version's log as SQL."""
    return str(request.param.read_text())


@pytest.fixture
def opened(stored: str, tmp_path: Path) -> Iterator[tuple[SqlLog, sa.Engine]]:
    """The same, opened by the present version."""
    with closing(sqlite3.connect(tmp_path / "log.sqlite")) as file:
        file.executescript(stored)
    log, engine = open_log(f"sqlite:///{tmp_path}/log.sqlite")
    yield log, engine
    engine.dispose()


def stored_rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as file:
        return file.execute("SELECT * FROM events ORDER BY position").fetchall()


def test_every_service_reads_all_of_it(opened: tuple[SqlLog, sa.Engine]) -> None:
    log, _ = opened
    states = {name: importlib.import_module(f"{name}.state").State() for name in SERVICES}
    projections = Projections(log)
    for state in states.values():
        projections.add(state)
    assert projections.catch_up() == log.head().position
    (app,) = states["configsvc"].apps.values()
    assert app.name == "hello"
    for state in states.values():
        assert state.apps.keys() == {app.id}
    assert {key.name for key in states["gitreceiver"].keys.values()} == {"anna"}


def test_its_config_opens(opened: tuple[SqlLog, sa.Engine], stored: str) -> None:
    log, engine = opened
    (config,) = (event.data for event in log.read() if event.type == "config.changed")
    master = re.search("^-- ([0-9a-f]{64})$", stored, re.MULTILINE)
    assert master
    assert Keyring(engine, bytes.fromhex(master[1])).open_all(config.app, config.set) == {"GREETING": "hi"}


def test_an_import_takes_it(opened: tuple[SqlLog, sa.Engine], tmp_path: Path) -> None:
    """What is refused of a backup is nothing that a Pushlog ever recorded."""
    log, _ = opened
    lines = b"".join(canonical(list(row)).encode() + b"\n" for row in log.rows(0, 10_000))
    assert list(replay.rows([lines])) == log.rows(0, 10_000)
    assert "hello" in [app.name for app in replay.replay(log).apps.values()]


def test_it_goes_on_and_nothing_of_it_is_rewritten(opened: tuple[SqlLog, sa.Engine], tmp_path: Path) -> None:
    log, engine = opened
    before = stored_rows(tmp_path / "log.sqlite")
    app = next(event.data.app for event in log.read() if event.type == "app.created")
    failed = BuildFailed(app=app, attempt=1, reason="a test", output=None)
    (recorded,) = log.append([Draft(work_stream("a test"), "hello", failed)], CAUSE)
    engine.dispose()
    assert stored_rows(tmp_path / "log.sqlite")[:-1] == before
    again, other = open_log(f"sqlite:///{tmp_path}/log.sqlite")
    head = again.head()
    other.dispose()
    assert head.position == recorded.position == len(before) + 1
