"""State that grew, state that was read and state that was kept are one; a snapshot that is not right is not used."""

import logging
import os
from hashlib import sha256
from itertools import islice
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services import projections as module
from services.errors import Unavailable
from services.events import CATALOGUE
from services.memorylog import MemoryLog
from services.projections import Projections
from services.snapshots import Snapshots, code_identity
from tests import fleet

LENGTH = 600
PAGE = 100
PREPARED: dict[int, list] = {}

positions = st.integers(1, LENGTH)
seeds = st.integers(1, 5)
shared = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the one file is replaced or removed by each example


class ToldLog(MemoryLog):
    """The first `length` events of a fleet's log. `asked` are the positions after which it was read."""

    def __init__(self, seed=1, length=LENGTH):
        super().__init__()
        self.asked = []
        self.tell(seed, length)

    def tell(self, seed, length):
        """Hold so many events."""
        if seed not in PREPARED:
            PREPARED[seed] = list(islice(fleet.rows(Random(seed), apps=5, mortality=0.05), LENGTH))
        self._rows = PREPARED[seed][:length]

    def read(self, after=0, limit=PAGE):
        self.asked.append(after)
        return super().read(after, limit)


def started(log, snapshots=None):
    """The projections of a process that has started on `log`."""
    projections = Projections(log, snapshots)
    for name, fold in fleet.folds():
        projections.add(fold, name)
    projections.catch_up()
    return projections


def states(projections):
    """What every fold knows."""
    return [fold.__getstate__() for fold in projections.folds]


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    monkeypatch.setattr(module, "PAGE", PAGE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "snapshots" / "all"


@pytest.fixture
def snapshots(path):
    return Snapshots(path, "this code")


def test_a_fleet_lives_through_every_event_there_is():
    types = {row[4] for row in islice(fleet.rows(Random(1), mortality=0.02), 3000)}
    assert types == {name for name in CATALOGUE if not name.startswith("x.")}


@shared
@given(seeds, positions, positions)
def test_state_that_grew_that_was_read_and_that_was_kept_are_one(snapshots, seed, kept, end):
    kept, end = sorted((kept, end))
    log = ToldLog(seed, kept)
    live = started(log, snapshots)
    live.keep()
    for length in range(kept, end, 40):
        log.tell(seed, length)
        live.catch_up()
    log.tell(seed, end)
    live.catch_up()
    log.asked.clear()
    restarted = started(log, snapshots)
    assert min(log.asked) == kept - 1, "the event that the snapshot ends with, and those after it"
    assert restarted.position == live.position == end
    assert states(restarted) == states(live) == states(started(log))


@shared
@given(st.data())
def test_a_damaged_snapshot_is_not_used(snapshots, path, caplog, data):
    started(ToldLog(), snapshots).keep()
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]])))
    not_used(ToldLog(), snapshots, caplog)


def not_used(log, snapshots, caplog):
    """It says so once, and starts as without it."""
    caplog.clear()
    restarted = started(log, snapshots)
    assert log.asked[0] == 0 or log.asked[1] == 0
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "the log is read from its beginning" in caplog.text
    assert states(restarted) == states(started(log))


def test_a_snapshot_of_other_code_is_not_used(snapshots, path, caplog):
    started(ToldLog(), Snapshots(path, "other code")).keep()
    not_used(ToldLog(), snapshots, caplog)


def test_a_snapshot_that_is_ahead_of_the_log_is_not_used(snapshots, caplog):
    started(ToldLog(), snapshots).keep()
    not_used(ToldLog(length=LENGTH - 1), snapshots, caplog)


def test_a_snapshot_of_another_log_is_not_used(snapshots, caplog):
    started(ToldLog(seed=1), snapshots).keep()
    not_used(ToldLog(seed=2), snapshots, caplog)


def test_a_snapshot_that_names_anything_but_events_and_states_is_not_read(snapshots, path, caplog, tmp_path):
    started(ToldLog(), snapshots).keep()
    header = path.read_bytes()[32:].partition(b"\n")[0]
    for name in ("posix.system", "services.files.replace", "services.events.json", "deployer.state.field"):
        proof = tmp_path / "it-ran"
        evil = header + b"\nc" + name.rpartition(".")[0].encode() + b"\n" + name.rpartition(".")[2].encode() + b"\n"
        evil += b"(V" + f"touch {proof}".encode() + b"\ntR."
        path.write_bytes(sha256(evil).digest() + evil)
        not_used(ToldLog(), snapshots, caplog)
        assert f"it holds a {name}" in caplog.text
        assert not proof.exists()


def test_without_a_snapshot_there_is_nothing_to_say(snapshots, caplog):
    assert states(started(ToldLog(), snapshots)) == states(started(ToldLog()))
    assert caplog.text == ""


def test_a_snapshot_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "snapshots").write_text("a file is in the way")
    started(ToldLog(), Snapshots(tmp_path / "snapshots" / "all", "")).keep()
    assert "no snapshot of the state was kept" in caplog.text


def test_nobody_else_can_read_a_snapshot(snapshots, path):
    started(ToldLog(), snapshots).keep()
    assert [oct(p.stat().st_mode & 0o777) for p in (path, path.parent)] == ["0o600", "0o700"]
    assert os.listdir(path.parent) == [path.name]


def test_a_snapshot_is_written_every_so_many_events_and_not_twice_for_the_same_state(snapshots, path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 300)
    log = ToldLog(length=299)
    projections = started(log, snapshots)
    assert not path.exists()
    log.tell(1, 300)
    projections.catch_up()
    first = path.stat().st_ino
    log.tell(1, 599)
    projections.catch_up()
    assert path.stat().st_ino == first
    projections.keep()
    second = path.stat().st_ino
    assert second != first
    projections.keep()
    assert path.stat().st_ino == second


def test_a_fold_that_joins_after_the_start_has_its_state_from_the_snapshot_too(snapshots):
    started(ToldLog(length=300), snapshots).keep()
    log, late = ToldLog(length=400), dict(fleet.folds())
    name, fold = late.popitem()
    projections = Projections(log, snapshots)
    for other, early in late.items():
        projections.add(early, other)
    projections.catch_up()
    log.tell(1, LENGTH)
    projections.catch_up()
    log.asked.clear()
    projections.add(fold, name)
    projections.catch_up()
    assert min(log.asked) == 300
    assert states(projections) == states(started(log))


def test_a_fold_that_no_snapshot_knows_is_fed_from_the_beginning(snapshots):
    log, known = ToldLog(length=400), dict(fleet.folds())
    known.popitem()
    projections = Projections(log, snapshots)
    for other, early in known.items():
        projections.add(early, other)
    projections.catch_up()
    projections.keep()
    log.tell(1, LENGTH)
    restarted = started(log, snapshots)
    assert states(restarted) == states(started(log))


@shared
@given(st.integers(0, 12), st.booleans())
def test_a_log_that_does_not_answer_during_the_start_is_read_on_where_it_ended(snapshots, path, silent_at, kept):
    path.unlink(missing_ok=True)
    if kept:
        started(ToldLog(length=250), snapshots).keep()
    log = ToldLog()
    answer, left = log.read, [silent_at]

    def read(*args):
        left[0] -= 1
        if left[0] == -1:
            raise Unavailable("not now")
        return answer(*args)

    log.read = read
    projections = Projections(log, snapshots)
    for name, fold in fleet.folds():
        projections.add(fold, name)
    for _ in range(2):
        try:
            projections.catch_up()
        except Unavailable:
            continue
    assert states(projections) == states(started(ToldLog()))


def test_a_state_that_a_fold_broke_off_in_is_not_kept(snapshots, path):
    class Broken:
        def evolve(self, event):
            raise KeyError(event.id)

    projections = started(ToldLog(length=10), snapshots)
    projections.add(Broken())
    with pytest.raises(KeyError):
        projections.catch_up()
    projections.keep()
    assert not path.exists()


def test_any_change_of_the_code_is_another_code(tmp_path, monkeypatch):
    monkeypatch.setattr("services.snapshots.PACKAGES", tmp_path)
    (tmp_path / "deployer").mkdir()
    known = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.py", ""), ("c.txt", "")):
        (tmp_path / "deployer" / name).write_text(text)
        known.add(code_identity(["deployer"]))
    assert len(known) == 3
