"""An import that was killed left an empty log, and the next one is whole; and any log comes back as it was."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitreceiver.backup import staging
from gitreceiver.git.repository import FOLDER
from gitreceiver.ports import Ports
from services import eventlog
from services.chain import GENESIS, Head
from tests import fleet
from tests.contract import backups
from tests.contract.backups import exported, files_of, imported, instance, states, verified
from tests.contract.databases import KINDS, fresh_url

DEADLINE = 60
VICTIM = """
import os, signal, sys
from services import eventlog, files
from services.chain import checked_pages
import services.eventlog

where, home = sys.argv[1:3]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def pages(rows):
    for number, page in enumerate(checked_pages(rows)):
        if where == f"page {number}":
            die()
        yield page

class Dying(eventlog.SqlLog):
    def adopt(self, rows, keys):
        if where == "before the log":
            die()
        services.eventlog.checked_pages = pages
        head = super().adopt(rows, keys)
        if where == "after the log":
            die()
        return head

if where.startswith("sync "):
    synced, sync = iter(range(100)), files.sync_folder
    files.sync_folder = lambda path: die() if next(synced) == int(where[5:]) else sync(path)
eventlog.open_log = lambda url, real=eventlog.open_log: (Dying((found := real(url))[1]), found[1])
from cli import client
sys.exit(client.main(["backup:import"]))
"""
WHERE = [
    ("sqlite", "sync 0"),
    ("sqlite", "sync 3"),
    ("sqlite", "before the log"),
    *((kind, "page 1") for kind in KINDS),
]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    with instance(tmp_path_factory.mktemp("old")) as made:
        made.log.adopt(islice(fleet.rows(Random(3)), eventlog.PAGE), {})
        backups.record(made, backups.beginning())
        backups.push(made, 2, backups.push(made, 1, None))
        yield made


def command(home: Path, url: str, *argv: str) -> tuple[list[str], dict[str, str]]:
    """How an import is run, of the log at `url`, while nothing else runs."""
    environment = {**os.environ, "PUSHLOG_HOME": str(home), "PUSHLOG_LOG_URL": url}
    return [sys.executable, *argv], environment


def killed(home: Path, url: str, archive: bytes, where: str) -> int:
    """How an import ended that was to be killed somewhere."""
    argv, environment = command(home, url, "-c", VICTIM, where, str(home))
    return subprocess.run(argv, env=environment, input=archive, capture_output=True, timeout=DEADLINE).returncode


def once_more(home: Path, url: str, archive: bytes) -> None:
    argv, environment = command(home, url, "-m", "cli.client", "backup:import")
    done = subprocess.run(argv, env=environment, input=archive, capture_output=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert b"-----> Imported " in done.stderr


@pytest.mark.parametrize(("kind", "where"), WHERE)
def test_an_import_that_is_killed_left_an_empty_log_and_is_done_again(
    old: Ports, tmp_path: Path, kind: str, where: str
) -> None:
    archive, home = exported(old)[0], tmp_path / "home"
    with fresh_url(kind, tmp_path) as url:
        assert killed(home, url, archive, where) == -signal.SIGKILL
        log, engine = eventlog.open_log(url)
        assert log.head() == Head(0, GENESIS)
        once_more(home, url, archive)
        assert log.rows(0, 10_000) == old.log.rows(0, 10_000)
        engine.dispose()
    assert list((home / FOLDER / staging.HIDDEN).iterdir()) == list((home / "blobs" / staging.HIDDEN).iterdir()) == []
    wanted = {path for path in files_of(old) if "/pushlog/pushes/" in path or path.startswith("blobs/")}
    assert wanted <= set(backups.files_below(home))


def test_of_an_import_that_was_killed_nothing_is_left_when_another_backup_is_imported(
    old: Ports, tmp_path: Path
) -> None:
    home, url = tmp_path / "home", f"sqlite:///{tmp_path}/log.sqlite"
    assert killed(home, url, exported(old)[0], "before the log") == -signal.SIGKILL
    assert any(path.endswith(".git/HEAD") for path in backups.files_below(home))
    with instance(tmp_path / "empty") as other:
        other.log.adopt(fleet.whole(fleet.rows(Random(9)), 100), {})
        once_more(home, url, exported(other)[0])
    left = backups.files_below(home)
    assert not [path for path in left if path.startswith((FOLDER, "blobs"))]


def test_one_that_is_killed_behind_its_commit_is_whole(old: Ports, tmp_path: Path) -> None:
    home, url = tmp_path / "home", f"sqlite:///{tmp_path}/log.sqlite"
    assert killed(home, url, exported(old)[0], "after the log") == -signal.SIGKILL
    log, engine = eventlog.open_log(url)
    assert log.rows(0, 10_000) == old.log.rows(0, 10_000)
    engine.dispose()


def test_a_client_that_is_cut_off_while_it_sends_changes_nothing(old: Ports, tmp_path: Path) -> None:
    archive, home, url = exported(old)[0], tmp_path / "home", f"sqlite:///{tmp_path}/log.sqlite"
    for part in (0.5, 0.99):
        argv, environment = command(home, url, "-m", "cli.client", "backup:import")
        given = archive[: int(part * len(archive))]
        done = subprocess.run(argv, env=environment, input=given, capture_output=True, timeout=DEADLINE, check=False)
        assert done.returncode == 1
        assert done.stderr == b" !     the backup is damaged: it is cut off\n"
    log, engine = eventlog.open_log(url)
    assert log.head() == Head(0, GENESIS)
    engine.dispose()
    assert not any(path.startswith(FOLDER) for path in backups.files_below(home))


def test_what_a_dead_import_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    left, living = staging.Room(tmp_path), staging.Room(tmp_path)
    os.close(left._lock)
    staging.clean(tmp_path)
    assert [room.repositories.exists() for room in (left, living)] == [False, True]
    assert [room.blobs.exists() for room in (left, living)] == [False, True]
    living.remove()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(1, 1000), length=st.integers(1, 300), data=st.data())
def test_any_log_comes_back_as_it_was_whole_or_up_to_any_position(seed: int, length: int, data: st.DataObject) -> None:
    until = data.draw(st.none() | st.integers(1, length))
    with (
        tempfile.TemporaryDirectory() as folder,
        instance(Path(folder, "a")) as old,
        instance(Path(folder, "b")) as new,
    ):
        old.log.adopt(fleet.whole(fleet.rows(Random(seed), apps=5, mortality=0.02), length), {})
        length = old.log.head().position
        archive, _ = exported(old)
        assert verified(new, archive)["events"] == length
        imported(new, archive, until=until)
        end = new.log.head().position
        assert end >= (until or length)
        assert new.log.rows(0, 1000) == old.log.rows(0, end)
        assert states(new) == states(old, end)
