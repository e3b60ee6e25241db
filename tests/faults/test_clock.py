"""The wall clock steps an hour forwards, then back: no lease, timer or order hangs on it."""

import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO, SLOW
from tests.e2e.harness import ROOT, Checkout, Instance, Running, wait_for
from tests.e2e.world import StoredLog
from tests.faults.instances import started
from tests.faults.matrix import cell

pytestmark = pytest.mark.timeout(600)  # a busy machine's

HOUR = 3600.0
Checkouts = Callable[..., Checkout]


@dataclass
class Clocked(Instance):
    """An instance whose platform reads a wall clock of its own: the machine's and `step` seconds more.

    `library` is clock.c, compiled. libfaketime would not do: with it Python's sleep fails, and now and
    then a login is never answered.
    """

    library: Path = field(kw_only=True)

    @property
    def _step(self) -> Path:
        return self.library.with_name("step")

    def step(self, seconds: float) -> None:
        """Set the platform's wall clock, from now on."""
        descriptor = os.open(self._step, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, struct.pack("l", int(seconds)))
        os.close(descriptor)

    def up(self) -> None:
        """See Instance."""
        self.step(0)
        clock = {"LD_PRELOAD": str(self.library), "CLOCK_STEP": str(self._step)}
        started = subprocess.run(
            self.local_argv("up", "--detach"),
            env={**self.environment, **clock},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert started.returncode == 0, started.stderr


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clocked]:
    """An instance with a clock of its own and short leases."""
    folder = tmp_path_factory.mktemp("clock")
    library = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(source)], check=True)
    settings = {"LEASE": "2"}
    with started(Clocked(folder / "home", f"faults-{os.getpid()}-clock", settings, library=library)) as instance:
        yield instance


def fresh_commit(source: Checkout) -> str:
    """A version that is built anew from its dependencies on."""
    text = os.urandom(4).hex()
    source.write("slow/version", text)
    return source.commit()


@pytest.mark.parametrize(("step", "name"), [(HOUR, "an hour forwards"), (-HOUR, "an hour back")])
def test_a_step_of_the_clock_in_a_build_changes_nothing_but_the_times(
    instance: Clocked, checkout: Checkouts, app: str, step: float, name: str
) -> None:
    source, log = checkout(instance, SLOW), StoredLog(instance)
    instance.step(0)
    source.push(app)
    head, began = log.head(), time.monotonic()
    commit = fresh_commit(source)
    with cell(f"clock steps {name}", "in a build") as seen:
        push = Running(["git", "push", instance.url(app), "main"], instance.environment, source.path)
        log.wait_for("build.started", head)
        instance.step(step)
        assert push.wait() == 0, push.lines
        story = log.wait_for_end(head)
        assert story.count("build.started") == story.count("deploy.started") == 1
        assert source.remote_ref(app) == commit
        rows = log.rows(head)
        jump = seconds(rows[-1].time) - seconds(rows[0].time)
        assert abs(jump - step) < time.monotonic() - began
        seen.seen = f"deployed in one attempt; {len(rows)} events in the log's order"
    log.check()


def seconds(text: str) -> float:
    """An event's time as seconds of the epoch."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(("step", "name"), [(HOUR, "an hour forwards"), (-HOUR, "an hour back")])
def test_after_a_step_of_the_clock_everything_is_as_quick_as_before(
    instance: Clocked, checkout: Checkouts, app: str, step: float, name: str
) -> None:
    source, log = checkout(instance, ECHO), StoredLog(instance)
    instance.step(0)
    source.push(app)
    instance.get(app, "/say/before")
    with cell(f"clock steps {name}", "between two pushes") as seen:
        instance.step(step)
        head = log.head()
        source.write("app.py", ECHO["app.py"].replace('"one"', '"two"'))
        source.commit()
        source.push(app)
        assert log.wait_for_end(head)[-1] == "release.retired"
        instance.get(app, "/say/after")
        said = wait_for(lambda: both_said(instance, app), "both lines")
        assert said.index("before") < said.index("after")
        instance.ssh("config:set", app, "GREETING=hello")
        assert instance.get(app, "/GREETING").text == "hello"
        listed = [event["position"] for event in instance.events(app)]
        assert listed == sorted(listed)
        seen.seen = "pushed, set, logged and listed in order"
    log.check()


def both_said(instance: Instance, app: str) -> list[str]:
    """The words that the app was told to say, as `logs` shows them, once both are there."""
    text = instance.ssh("logs", app).stdout
    said = [word for line in text.splitlines() for word in line.split() if word in ("before", "after")]
    return said if len(set(said)) == 2 else []
