"""A running instance that is measured, and what measuring it takes."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from tests.e2e.harness import Checkout, Instance, wait_for


@dataclass
class Workbench:
    """The instance, a folder for all that is written, and how often each thing is measured."""

    instance: Instance
    folder: Path
    runs: int
    client: docker.DockerClient = field(default_factory=docker.from_env)
    checkouts: dict[str, Checkout] = field(default_factory=dict)

    def app(self, name: str, source: str | Mapping[str, str]) -> Checkout:
        """The checkout that the app `name` was pushed from; it is pushed when it is asked for first."""
        if name not in self.checkouts:
            say(f"{name}: first push")
            self.checkouts[name] = Checkout.of(source, self.folder / name, self.instance)
            self.checkouts[name].push(name)
        return self.checkouts[name]

    def rounds(self, title: str, times: int = 1) -> Iterator[int]:
        """1, 2, … `times` times as often as things are measured."""
        for number in range(1, times * self.runs + 1):
            if sys.stderr.isatty() or number == 1:
                say(f"{title}: {number} of {times * self.runs}", end="\r" if sys.stderr.isatty() else "\n")
            yield number

    def settled(self, app: str) -> list[dict[str, Any]]:
        """The events of the app's last story, once the release before it is gone."""

        def ended() -> list[dict[str, Any]]:
            events = self.instance.events(app)
            return events if events[-1]["type"] == "release.retired" else []

        events = wait_for(ended, f"the end of the release of {app} before")
        return [event for event in events if event["correlationid"] == events[-1]["correlationid"]]


def say(text: str, end: str = "\n") -> None:
    """Show how far it is, on stderr."""
    print(f"-----> {text}\033[K" if end == "\r" else f"-----> {text}", end=end, file=sys.stderr, flush=True)
