"""The wall clock steps an hour forwards, then back: no lease, timer or order hangs on it."""

import os
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
LIBRARY = "*-linux-gnu/faketime/libfaketimeMT.so.1"
Checkouts = Callable[..., Checkout]


@dataclass
class Clocked(Instance):
    """An instance whose platform reads a wall clock of its own: the machine's and `step` seconds more."""

    library: str = field(kw_only=True)

    @property
    def _stamp(self) -> Path:
        return self.home.parent / "clock"

    def step(self, seconds: float) -> None:
        """Set the platform's wall clock, from now on."""
        fresh = self._stamp.with_suffix(".new")
        fresh.write_text(f"{seconds:+.0f}")
        fresh.rename(self._stamp)

    def up(self) -> None:
        """See Instance. It runs in the foreground: Python's own sleep fails under faketime, and eventlet's does not."""
        self.step(0)
        faked = {
            "LD_PRELOAD": self.library,
            "FAKETIME_TIMESTAMP_FILE": str(self._stamp),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until a step is noticed
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self._program = Running(self.local_argv("up"), {**self.environment, **faked}, ROOT)
        wait_for(lambda: any("ready:" in line for line in self._program.lines), "the platform", 120)

    def purge(self) -> None:
        """See Instance."""
        super().purge()
        self._program.wait()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clocked]:
    """An instance with a clock of its own and short leases."""
    found = list(Path("/usr/lib").glob(LIBRARY))
    if not found:
        pytest.skip(f"needs faketime: there is no /usr/lib/{LIBRARY}")
    folder = tmp_path_factory.mktemp("clock")
    settings = {"LEASE": "2"}
    instance = Clocked(folder / "home", f"faults-{os.getpid()}-clock", settings, library=str(found[0]))
    with started(instance):
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
