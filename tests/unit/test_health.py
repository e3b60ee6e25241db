"""When a process calls itself well, and what it tells of itself."""

from pathlib import Path

import pytest

from services.chain import Cause, Draft
from services.errors import Unavailable
from services.events import NameTaken
from services.health import BROKER_PATIENCE, LAG_PATIENCE, LOG_PATIENCE, RUNNING, STANDBY, Health
from services.keyring import Keyring
from services.memorylog import MemoryLog
from services.platform import Platform, assemble
from services.settings import Settings
from services.todo import Pending

APP = "0b0c5a34-6f0e-4f3a-9d64-2b1f0a7c9e11"
WHO = Cause("configsvc", "local", "local", "apps:create hello")


class Log(MemoryLog):
    """A log that can be away."""

    away = False

    def head(self):
        if self.away:
            raise Unavailable("the log's database: away")
        return super().head()


class World:
    """A process whose clock, log and broker are in the test's hand."""

    def __init__(self, home: Path, state: str) -> None:
        settings = Settings(home=home, broker_url="amqp://me:hunter2@localhost/")
        self.now, self.broker_away, self.log = 100.0, False, Log()
        self.platform: Platform = assemble(settings, self.log, Keyring({}, bytes(32)), "vm/1")
        self.health = Health(settings, ["builder"], lambda: not self.broker_away, lambda: self.now)
        self.health.begin(self.platform)
        self.health.state = state

    def record(self) -> None:
        self.log.append([Draft("name/hello", "hello", NameTaken(app=APP, name="hello"))], WHO)

    def after(self, seconds: float) -> list[str]:
        """The reasons for being unwell, as it looks every few seconds for so long."""
        for _ in range(int(seconds)):
            self.now += 1
            self.health.look()
        return self.health.report()["reasons"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, RUNNING)


def test_a_process_is_not_well_before_it_runs(tmp_path: Path) -> None:
    assert World(tmp_path, "starting").after(1) == ["it has not started yet"]


def test_a_process_that_is_not_running_yet_says_what_it_waits_for(tmp_path: Path) -> None:
    world = World(tmp_path, "starting")
    world.health.waits = "the broker does not answer: [Errno 111] Connection refused"
    assert world.after(1) == ["it has not started yet: the broker does not answer: [Errno 111] Connection refused"]


def test_a_process_that_stands_by_is_well_and_follows_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, STANDBY)
    world.record()
    assert world.after(2 * LAG_PATIENCE) == []
    assert world.health.report()["lag"] is None


def test_a_process_that_keeps_up_is_well(world: World) -> None:
    world.record()
    world.platform.projections.catch_up()
    assert world.after(2 * LAG_PATIENCE) == []
    report = world.health.report()
    assert (report["status"], report["position"], report["lag"], report["broker"]) == ("well", 1, 0, "heard")


def test_a_log_that_is_away_is_forgiven_for_a_while(world: World) -> None:
    world.log.away = True
    assert world.after(LOG_PATIENCE) == []
    assert world.after(2) == [f"the log has not answered for {LOG_PATIENCE + 2:.0f} s"]
    world.log.away = False
    assert world.after(1) == []


def test_a_look_that_hangs_is_told_by_its_age(world: World) -> None:
    assert world.after(1) == []
    world.now += 40
    assert "the log has not answered for 40 s" in world.health.report()["reasons"]


def test_a_broker_that_is_away_shows_at_once_and_is_forgiven_for_longer(world: World) -> None:
    world.broker_away = True
    assert world.after(BROKER_PATIENCE) == []
    assert world.health.report()["broker"] == "not heard"
    assert world.after(2) == [f"the broker has not been heard for {BROKER_PATIENCE + 2:.0f} s"]


def test_a_lag_that_does_not_shrink_makes_it_unwell(world: World) -> None:
    world.record()
    assert world.after(LAG_PATIENCE) == []
    assert world.after(2) == [f"its lag behind the log, 1, has not shrunk for {LAG_PATIENCE + 2:.0f} s"]
    assert world.health.report()["lag"] == 1
    world.platform.projections.catch_up()
    assert world.after(1) == []


def test_it_tells_how_much_waits_and_no_secret(world: World) -> None:
    world.platform.projections.add(Pending(NameTaken, ()))
    world.record()
    world.platform.projections.catch_up()
    assert world.after(1) == []
    report = world.health.report()
    assert report["pending"] == {"name.taken": 1}
    assert "hunter2" not in str(report)
