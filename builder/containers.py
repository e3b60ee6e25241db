"""The builder's one edge to Docker: images and containers by plain calls, Docker's errors as ours."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from services import engine
from services.errors import Unavailable

log = logging.getLogger(__name__)

Labels = Mapping[str, str]
CONFLICT = 409
KILLED = 137
PATIENCE = 2
WORK = 120
_making_a_network = threading.Lock()


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its id (`sha256:…`) and its labels."""

    id: str
    labels: Labels


@contextmanager
def translated() -> Iterator[None]:
    """Turn what Docker and the way to it raise into Unavailable."""
    try:
        with engine.answering():
            yield
    except APIError as error:
        raise Unavailable(f"Docker did not do as asked: {error.explanation or error}") from error


def image(client: docker.DockerClient, reference: str) -> Image | None:
    """The image that `reference` names, or None."""
    try:
        found = client.images.get(reference)
    except ImageNotFound:
        return None
    return Image(str(found.id), found.labels)


@contextmanager
def container(
    client: docker.DockerClient, base: str, labels: Labels, host: Mapping[str, Any], command: list[str] | None = None
) -> Iterator[str]:
    """The id of a container of the image `base`, made and not started, and removed in any case at the end."""
    made: str = client.api.create_container(
        base, command=command, labels=dict(labels), host_config=client.api.create_host_config(**host)
    )["Id"]
    try:
        yield made
    finally:
        try:
            remove(client, made)
        except (DockerException, requests.RequestException) as error:
            log.warning("build container %s stays until the next clean-up: %s", made, error)


def put(client: docker.DockerClient, container: str, tar: Iterable[bytes]) -> None:
    """Unpack a tar at the root of the container, which need not run.

    Unpacked in a folder, Docker would refuse links that lead out of that.
    """
    client.api.put_archive(container, "/", tar)


def start(client: docker.DockerClient, container: str) -> None:
    """Start a container."""
    client.api.start(container)


def kill(client: docker.DockerClient, container: str) -> None:
    """End all that runs in a container at once, if anything does."""
    try:
        client.api.kill(container)
    except APIError as error:
        if error.status_code != CONFLICT:
            raise


def remove(client: docker.DockerClient, container: str) -> None:
    """Remove a container, running or not; none is fine."""
    try:
        client.api.remove_container(container, force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != CONFLICT:  # its removal is under way
            raise


def execute(
    client: docker.DockerClient,
    container: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    write: Callable[[bytes], None],
) -> int:
    """Run a program in the container, its output to `write` as it comes; returns its exit code.

    That is KILLED where the container ends, or has ended, under it.

    `environment` goes by the exec and not by the container's config, which a commit would keep.
    """
    try:
        made = client.api.exec_create(container, list(argv), environment=dict(environment))["Id"]
        chunks = client.api.exec_start(made, stream=True)
        with closing(chunks._response):  # type: ignore[attr-defined]  # its own close() leaves the connection open
            for chunk in chunks:
                write(chunk)
    except APIError as error:
        if error.status_code != CONFLICT:
            raise
        return KILLED  # the container does not run any more
    return _exit_code(client, made)


def _exit_code(client: docker.DockerClient, execution: str) -> int:
    """The exit code of a program whose output has ended; Docker may note it a moment later."""
    deadline = time.monotonic() + PATIENCE
    while (code := client.api.exec_inspect(execution)["ExitCode"]) is None:
        if time.monotonic() > deadline:
            raise Unavailable("Docker cut off the output of a program that still runs")
        time.sleep(0.02)
    return int(code)


def written(client: docker.DockerClient, container: str) -> int:
    """The bytes of what a container has written, beside its volumes; 0 when it is gone."""
    rows = client.api.containers(all=True, size=True, filters={"id": container})
    return int(rows[0].get("SizeRw") or 0) if rows else 0


def exit_code(client: docker.DockerClient, container: str) -> int:
    """The exit code of a container, once it has ended."""
    return int(client.api.wait(container, timeout=WORK)["StatusCode"])


def ends(client: docker.DockerClient, container: str) -> bool:
    """Whether the container ends by itself within PATIENCE seconds."""
    try:
        client.api.wait(container, timeout=PATIENCE)
    except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError):
        return False
    return True


def state(client: docker.DockerClient, container: str) -> Mapping[str, Any]:
    """Docker's account of a container that has ended: its `ExitCode`, whether it was `OOMKilled`, …"""
    found: Mapping[str, Any] = client.api.inspect_container(container)["State"]
    return found


def commit(client: docker.DockerClient, container: str, repository: str, tag: str, labels: Labels) -> str:
    """The id of an image of the container as it is now, tagged `repository:tag`, its labels and `labels` upon it.

    The container must stand still: it is not paused.
    """
    config = {"Labels": dict(labels), "Cmd": ["/bin/bash"]}
    return str(client.api.commit(container, repository, tag, pause=False, conf=config)["Id"])


def volume(client: docker.DockerClient, name: str, labels: Labels) -> str:
    """The name of a volume that is there from here on, if it was not before."""
    client.api.create_volume(name, labels=dict(labels))
    return name


def network(client: docker.DockerClient, name: str, labels: Labels) -> str:
    """The name of a bridge network that is there from here on, whose containers do not reach each other.

    Docker makes several of one name for who ask at once, and then knows none by it: all but the oldest go.
    """
    options = {"com.docker.network.bridge.enable_icc": "false"}
    with _making_a_network:
        if not _networks(client, name):
            client.api.create_network(name, driver="bridge", options=options, labels=dict(labels))
        for surplus in _networks(client, name)[1:]:
            with suppress(APIError):  # another process removed it, or uses it for a moment more
                client.api.remove_network(surplus)
    return name


def _networks(client: docker.DockerClient, name: str) -> list[str]:
    """The ids of the networks of a name, the oldest first."""
    there = [each for each in client.api.networks(names=[name]) if each["Name"] == name]
    return [each["Id"] for each in sorted(there, key=lambda each: (each["Created"], each["Id"]))]


def remove_image(client: docker.DockerClient, id: str) -> bool:
    """Remove an image with all its tags; returns whether it is gone, and not in use by a container or another image."""
    try:
        client.api.remove_image(id, force=True)
    except ImageNotFound:
        return True
    except APIError as error:
        if error.status_code != CONFLICT:
            raise
        return False
    return True


def let_go(client: docker.DockerClient, id: str) -> bool:
    """Remove an image that no container uses, be it a stopped one, and no image rests on; returns whether it went."""
    try:
        client.api.remove_image(id, noprune=True)
    except ImageNotFound:
        return False
    except APIError as error:
        if error.status_code != CONFLICT:
            raise
        return False
    return True


def volume_sizes(client: docker.DockerClient, labels: Labels) -> list[tuple[Labels, int]]:
    """The labels and bytes of every volume that has these labels. Raises Unavailable when counting takes long."""
    rows = [(row["Labels"] or {}, row["UsageData"]) for row in client.api.df()["Volumes"] or []]
    return [(there, max(0, usage["Size"])) for there, usage in rows if usage and labels.items() <= there.items()]


def remove_volume(client: docker.DockerClient, name: str) -> bool:
    """Remove a volume; returns whether it is gone, and not in use by a container."""
    try:
        client.api.remove_volume(name)
    except NotFound:
        return True
    except APIError as error:
        if error.status_code != CONFLICT:
            raise
        return False
    return True
