"""Somebody else, who uses the instance from another address while it is attacked, and must not feel it."""

import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.attacks.places import Place
from tests.e2e.apps import ECHO
from tests.e2e.harness import Answer, Checkout, Instance

COMMAND_AIM, COMMAND_MOST = 0.5, 5.0
"""Seconds of `ssh … apps:exists`: the aim at p95, and what a test accepts of each."""
REQUEST_MOST = 2.0
"""Seconds of a request that a test accepts; script/bench attack measures the aim, twice the p99 without an attack."""
PAUSE = 0.05


@dataclass
class Felt:
    """What the neighbour felt: seconds of each command and request, and every failure as a sentence."""

    commands: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def p95(self) -> float:
        """The 95th percentile of the commands."""
        return percentile(self.commands, 95)

    def p99(self) -> float:
        """The 99th percentile of the requests."""
        return percentile(self.requests, 99)


def percentile(seconds: list[float], hundredth: int) -> float:
    """A percentile of some measurements; the largest when there are few."""
    return statistics.quantiles(seconds, n=100)[hundredth - 1] if len(seconds) > 100 else max(seconds)


class Neighbour:
    """A user with a key and an app of their own, at a place of their own."""

    def __init__(self, instance: Instance, place: Place, folder: Path, name: str = "neighbour") -> None:
        self.place, self.name, self.app = place, name, f"{name}-app"
        self.key = folder / f"{name}-key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.added = instance.pushlog("ssh-keys:add", name, input=self.key.with_suffix(".pub").read_text())
        self.instance = SeenFrom.of(instance, place, self.key)
        self.checkout = Checkout.of(ECHO, folder / self.app, self.instance)

    def ssh(self, *words: str, check: bool = True, input: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command over SSH."""
        with self.place.inside():
            return self.instance.ssh(*words, check=check, input=input)

    def push(self, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Push a new commit to the app."""
        self.checkout.commit()
        with self.place.inside():
            return self.checkout.push(self.app, check=check)

    def get(self, path: str = "/") -> Answer:
        """GET from the app."""
        with self.place.inside():
            return self.instance.get(self.app, path)

    @contextmanager
    def using(self, push: bool = True) -> Iterator[Felt]:
        """Push once, and ask for the length of the block and of the push; what was felt is whole after it."""
        felt, over = Felt(), threading.Event()
        asking = [
            threading.Thread(target=_repeat, args=(over, seconds, felt.failures, act))
            for seconds, act in ((felt.commands, self._exists), (felt.requests, self._asks))
        ]
        pushing = [threading.Thread(target=_once, args=(felt.failures, self._pushes))] if push else []
        for job in (*asking, *pushing):
            job.start()
        try:
            yield felt
        finally:
            for job in pushing:
                job.join()
            over.set()
            for job in asking:
                job.join()

    def _exists(self) -> str:
        done = self.ssh("apps:exists", self.app, check=False)
        return f"apps:exists ended with {done.returncode}: {done.stderr.strip()}" if done.returncode else ""

    def _asks(self) -> str:
        answer = self.get()
        return f"a request ended with {answer.status}: {answer.text}" if answer.status != 200 else ""

    def _pushes(self) -> str:
        done = self.push(check=False)
        return f"a push ended with {done.returncode}: {done.stderr.strip()}" if done.returncode else ""


@dataclass
class SeenFrom(Instance):
    """The instance as a place sees it, with the key of who is there."""

    at: str = "127.0.0.1"
    own_key: Path | None = None

    @classmethod
    def of(cls, instance: Instance, place: Place, key: Path) -> "SeenFrom":
        """`instance` as `place` sees it."""
        known = {name: getattr(instance, name) for name in ("home", "name", "settings", "ssh_port", "http_port")}
        return cls(**known, at=place.host, own_key=key)

    @property
    def address(self) -> str:
        """See Instance."""
        return self.at

    @property
    def key(self) -> Path:
        """See Instance."""
        return self.own_key or super().key


def _repeat(over: threading.Event, seconds: list[float], failures: list[str], act: Callable[[], str]) -> None:
    while not over.wait(PAUSE):
        began = time.monotonic()
        _once(failures, act)
        seconds.append(time.monotonic() - began)


def _once(failures: list[str], act: Callable[[], str]) -> None:
    try:
        failure = act()
    except (OSError, subprocess.SubprocessError) as error:
        failure = f"{act.__name__}: {error!r}"
    if failure:
        failures.append(failure)


@contextmanager
def unharmed(neighbour: Neighbour) -> Iterator[Felt]:
    """Attack in the block: the neighbour is refused nothing, loses nothing, and waits for at most ten times the aim."""
    with neighbour.using() as felt:
        yield felt
    assert not felt.failures, felt.failures
    assert max(felt.commands) <= COMMAND_MOST, f"apps:exists took {max(felt.commands):.2f} s"
    assert max(felt.requests) <= REQUEST_MOST, f"a request took {max(felt.requests):.2f} s"
    neighbour.instance.pushlog("log:verify")
    pushed = neighbour.checkout.git("rev-parse", "HEAD").stdout.strip()
    with neighbour.place.inside():
        assert neighbour.checkout.remote_ref(neighbour.app) == pushed
