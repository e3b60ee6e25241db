"""Builds on the machine's Docker, under an instance's name of their own that leaves nothing behind."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import docker

from builder.buildstep import BuildRequest, BuildResult, build
from services.settings import Settings
from tests.unit.trees import Content, write_tar

BACKEND = """
import json, os, pathlib, zipfile

def build_wheel(folder, settings=None, metadata=None):
{body}
    name = "thing-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        wheel.writestr("thing.py", "")
        wheel.writestr("thing-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: thing\\nVersion: 1\\n")
        wheel.writestr("thing-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("thing-1.dist-info/RECORD", "")
    return name
"""
PROJECT = """
[project]
name = "thing"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def running(body: str) -> dict[str, Content]:
    """An app whose install runs the Python statements of `body` within the build, and needs nothing of any index."""
    indented = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return {"Procfile": "web: run\n", "pyproject.toml": PROJECT, "backend.py": BACKEND.format(body=indented)}


def example(name: str) -> dict[str, Content]:
    """The tree of one of the examples."""
    root = Path(__file__).parents[2] / "examples" / name
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()}


class Workshop:
    """Builds trees of one app as `instance`; `output` collects what the builds said."""

    def __init__(self, client: docker.DockerClient, home: Path) -> None:
        self.client = client
        self.settings = Settings(home=home, instance=f"test-{uuid.uuid4().hex[:12]}")
        self.app = str(uuid.uuid4())
        self.output: list[bytes] = []

    @property
    def said(self) -> str:
        """All output so far."""
        return b"".join(self.output).decode()

    def request(self, tree: Mapping[str, Content], **changes: object) -> BuildRequest:
        """A request for `tree`, a push of its own."""
        source = write_tar(self.settings.home / f"{uuid.uuid4()}.tar", tree)
        given = {"app": self.app, "name": "thing", "work": str(uuid.uuid4()), "attempt": 1, "commit": "c" * 40}
        return BuildRequest(**{**given, "source": source, "env": {}, **changes})  # type: ignore[arg-type]

    def build(self, tree: Mapping[str, Content], **settings: object) -> BuildResult:
        """Build `tree` with some settings changed."""
        changed = self.settings.model_copy(update=settings)
        return build(self.client, changed, self.request(tree), self.output.append)

    def run(self, image: str, *argv: str) -> str:
        """What a program prints in a container of an image."""
        labels = {"pushlog.instance": self.settings.instance, "pushlog.process": "test"}
        container = self.client.containers.run(image, list(argv), detach=True, network_mode="none", labels=labels)
        ended = container.wait()
        output = container.logs().decode()  # read before it is removed: run(remove=True) may lose it
        container.remove()
        assert ended["StatusCode"] == 0, output
        return output

    def labelled(self, **labels: str) -> dict[str, list[str]]:
        """A Docker filter of this instance's things."""
        mine = {"instance": self.settings.instance, **labels}
        return {"label": [f"pushlog.{key}={value}" for key, value in mine.items()]}

    def containers(self) -> list[str]:
        """The ids of all this instance's containers."""
        return [found["Id"] for found in self.client.api.containers(all=True, filters=self.labelled())]

    def images(self) -> list[str]:
        """The ids of all this instance's images."""
        return [found["Id"] for found in self.client.api.images(all=True, filters=self.labelled())]

    def volumes(self) -> list[str]:
        """The names of all this instance's volumes."""
        return [found["Name"] for found in self.client.api.volumes(filters=self.labelled())["Volumes"] or []]

    @contextmanager
    def actions(self) -> Iterator[set[str]]:
        """What Docker did to containers of this instance within the block, as `create`, `start`, …"""
        since = f"{time.time():.9f}"
        seen: set[str] = set()
        yield seen
        filters = {**self.labelled(), "type": "container"}
        with closing(self.client.api.events(since=since, until=f"{time.time():.9f}", filters=filters)) as events:
            seen.update(json.loads(event)["Action"].partition(":")[0] for event in events)

    def close(self) -> None:
        """Remove all that the instance has."""
        for container in self.containers():
            self.client.api.remove_container(container, force=True)
        for kind in ("app", "dependencies"):
            for image in self.client.api.images(quiet=True, all=True, filters=self.labelled(image=kind)):
                self.client.api.remove_image(image, force=True)
        for volume in self.volumes():
            self.client.api.remove_volume(volume)
        for network in self.client.api.networks(filters=self.labelled()):
            self.client.api.remove_network(network["Id"])
