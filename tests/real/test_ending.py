"""Whatever ends a part of a process ends the process: it never stays half there."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import postgres
from tests.e2e.harness import ROOT, Instance, passable, wait_for

DEADLINE = 1.0
"""Of what takes 10 s in the product."""


class Mortal:
    """A process of the platform that fails when it is told to."""

    def __init__(self, instance: Instance, how: str, *services: str) -> None:
        self._die, self._said = instance.home.parent / "die", instance.home.parent / "said"
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.real.mortal", self._die, str(DEADLINE), how, *services],
                env=instance.environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
        wait_for(lambda: self.process.poll() is not None or "ready: " in self.words, "its readiness", 60)
        assert self.process.poll() is None, self.words

    @property
    def words(self) -> str:
        return self._said.read_text()

    def fail(self) -> float:
        """Have it fail; returns after how many seconds it had ended, with exit code 1."""
        self._die.touch()
        began = time.monotonic()
        assert self.process.wait(30) == 1
        return time.monotonic() - began


@contextmanager
def an_instance(folder: Path, settings: dict[str, str] | None = None) -> Iterator[Instance]:
    passable(folder)
    instance = Instance(folder / "home", f"real-{os.urandom(3).hex()}", settings or {})
    try:
        yield instance
    finally:
        instance.purge()


def test_what_ends_a_service_ends_the_process_whatever_it_waits_for_and_up_starts_it_again(tmp_path: Path) -> None:
    with an_instance(tmp_path) as instance:
        mortal = Mortal(instance, "stuck")
        seconds = mortal.fail()
        assert "CRITICAL the service gitreceiver ended, and so does this process" in mortal.words
        assert "made to fail" in mortal.words
        assert seconds < DEADLINE + 4, "the process waited for something"
        assert "running already" not in instance.pushlog("up", "--detach").stderr
        assert instance.pushlog("apps:list").returncode == 0


@pytest.mark.parametrize("how", ["thread", "post"])
def test_what_ends_a_part_ends_the_process_of_one_service(tmp_path: Path, how: str, amqp_url: str) -> None:
    with postgres.server().database() as database:
        urls = {"LOG_URL": database.url, "LOG_OWNER_URL": database.owner_url, "BROKER_URL": amqp_url}
        with an_instance(tmp_path, urls) as instance:
            instance.pushlog("prepare")
            mortal = Mortal(instance, how, "configsvc")
            assert mortal.fail() < DEADLINE + 4, "the process waited for something"
            assert "ended, and so does this process" in mortal.words
