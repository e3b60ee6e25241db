"""A real instance of one process per service, on PostgreSQL and RabbitMQ: to a test the same as one of one process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from services.runner import SERVICES
from tests.e2e.harness import ROOT, Instance, wait_for

STOP_TIMEOUT = 30.0
NUMBERS = count(1)


class Service:
    """A process of one service. What it says goes to a file of its own beside the home."""

    program: tuple[str, ...] = ()
    """The module that is run and its arguments, if it is not the usual one."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        self.name = name
        self._said = cluster.home.parent / f"{cluster.name}-{name}-{next(NUMBERS)}.log"
        with self._said.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *(self.program or ("cli.client", "service", name))],
                env=cluster.environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.pid = self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    @property
    def words(self) -> str:
        """What it said."""
        return self._said.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        """Return when it does its work; fails when it ends instead."""
        wait_for(lambda: self.ended or f"ready: {self.name}\n" in self.words, f"{self.name}'s readiness", 60)
        assert not self.ended, f"{self.name} ended with {self._process.returncode}:\n{self.words[-2000:]}"

    def signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if not self.ended:
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(STOP_TIMEOUT)


@dataclass
class Cluster(Instance):
    """`urls` are settings by name: LOG_URL, LOG_OWNER_URL and BROKER_URL."""

    urls: dict[str, str] = field(default_factory=dict)
    services: list[Service] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """See Instance. What a dead process did is taken over sooner than by default."""
        given = {f"PUSHLOG_{key}": value for key, value in self.urls.items()}
        return {**super().environment, "PUSHLOG_LEASE": "5", **given}

    @property
    def private_ports(self) -> list[int]:
        """See Instance."""
        return [int(url.rpartition(":")[2].partition("/")[0]) for url in self.urls.values()]

    @property
    def log_database(self) -> str:
        """See Instance."""
        return self.urls["LOG_URL"].replace("postgresql://", "postgresql+psycopg://")

    @property
    def log_url(self) -> str:
        """See Instance."""
        return self.urls["LOG_URL"]

    @property
    def pids(self) -> list[int]:
        """See Instance."""
        return [service.pid for service in self.services]

    def start(self) -> None:
        """See Instance."""
        self.pushlog("prepare")
        super().start()

    def up(self) -> None:
        """Start a process of each service that has none, and return when all do their work."""
        there = {service.name for service in self.services if not service.ended}
        for service in [self.begin(name) for name in SERVICES if name not in there]:
            service.wait_until_ready()

    def begin(self, name: str) -> Service:
        """Start a process of a service."""
        self.services.append(Service(self, name))
        return self.services[-1]

    def down(self) -> None:
        """See Instance."""
        self.end(signal.SIGTERM)

    def kill(self) -> None:
        """See Instance."""
        self.end(signal.SIGKILL)

    def end(self, number: int, names: Iterable[str] = SERVICES) -> None:
        """End the processes of these services by a signal, and return when they are gone."""
        ending = [service for service in self.services if service.name in names]
        for service in ending:
            service.signal(number)
        for service in ending:
            service.wait()
        self.services = [service for service in self.services if service not in ending]

    def purge(self) -> None:
        """See Instance."""
        self.down()
        super().purge()
