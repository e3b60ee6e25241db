"""One build: what is asked for, what comes of it, and what its steps share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import docker

from builder.output import Output
from builder.source import Source
from services.settings import Settings

APP_ID = 1000
"""The user and group id of the stack's user `app`."""


@dataclass(frozen=True)
class BuildRequest:
    """What is to be built.

    `app` and `work` are uuids (the work's is that of the push), `name` is the app's, `attempt` counts from 1, `source`
    is an uncompressed tar of the tree at `commit`. `env` holds the app's config vars, opened: the install command sees
    them, and nothing of them stays in the image. `stack` is the id of the stack to build on where that is here.
    """

    app: str
    name: str
    work: str
    attempt: int
    source: Path
    commit: str
    env: Mapping[str, str] = field(repr=False)
    stack: str = ""


@dataclass(frozen=True)
class BuildResult:
    """An image that can be run: `image` and `stack` are image ids, `processes` the Procfile's commands by type."""

    image: str
    stack: str
    buildpack: str
    processes: dict[str, str]


@dataclass(frozen=True)
class Job:
    """What the steps of one build share."""

    client: docker.DockerClient
    settings: Settings
    request: BuildRequest
    source: Source
    output: Output

    @property
    def repository(self) -> str:
        """The name of the app's images; it keeps them from `docker image prune`, and nothing is found by it alone."""
        return f"{self.settings.instance}/{self.request.app}"

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the build's containers."""
        return {
            "pushlog.instance": self.settings.instance,
            "pushlog.app": self.request.app,
            "pushlog.process": "build",
            "pushlog.work": self.request.work,
            "pushlog.attempt": str(self.request.attempt),
        }

    def commit_labels(self, kind: str, **more: str) -> dict[str, str]:
        """The labels that an image gets beside those of its container.

        A container that someone runs from it inherits them and is no build container: hence the empty process.
        """
        return {"pushlog.process": "", "pushlog.image": kind, **{f"pushlog.{key}": more[key] for key in more}}
