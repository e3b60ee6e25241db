"""The one place that runs containers: it turns specs into Docker calls and Docker's errors into ours."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from deployer import spec
from deployer.spec import ContainerSpec
from deployer.state import Identity
from services import engine, oom
from services.errors import PushlogError, Unavailable
from services.settings import Settings

REMOVAL = 10.0
"""Seconds that Docker may take to remove a container and free its name."""


class ContainerRefused(PushlogError):
    """Docker does not make or start this container; the sentence is Docker's."""


@dataclass(frozen=True)
class Found:
    """A container of the instance as Docker shows it. `state` is Docker's word: running, exited, created, …"""

    id: str
    name: str
    state: str
    identity: Identity
    app: str
    labels: dict[str, str]
    address: str


@dataclass(frozen=True)
class Look:
    """One container, looked at closely."""

    running: bool
    exit_code: int
    error: str
    gave_up: bool


class Containers:
    """The instance's app containers in one Docker Engine."""

    def __init__(self, client: docker.DockerClient, settings: Settings) -> None:
        self._api = client.api
        self._settings = settings

    def create(self, wanted: ContainerSpec) -> str:
        """Make a container, not started; returns its id. One of ours that has the same name is removed.

        Raises ContainerRefused with Docker's reason, or when a later attempt or somebody else has the name, or
        Unavailable.
        """
        deadline = time.monotonic() + REMOVAL
        with translated():
            while True:
                try:
                    return self._create(wanted)
                except APIError as error:
                    if error.status_code != 409 or time.monotonic() > deadline:
                        raise
                self._clear(wanted)  # at once when its removal is under way, and then it has the name a while yet
                time.sleep(0.02)

    def _clear(self, wanted: ContainerSpec) -> None:
        """Remove the container that has the name of `wanted`: by its id, as the name may be another's in a moment."""
        with gone_is_fine():
            shown = self._api.inspect_container(wanted.name)
            labels = shown["Config"]["Labels"] or {}
            if labels.get("pushlog.instance") != self._settings.instance:
                raise ContainerRefused(f"container: {wanted.name} belongs to another owner; rename it or remove it")
            if spec.is_later(labels, wanted.labels):
                raise ContainerRefused(f"{wanted.name} is a later attempt's")
            self.remove(shown["Id"])

    def _create(self, wanted: ContainerSpec) -> str:
        host = self._api.create_host_config(
            init=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            pids_limit=wanted.pids,
            oom_score_adj=oom.APP,
            restart_policy={"Name": "no"},
            network_mode=wanted.network,
            log_config=docker.types.LogConfig(type="json-file", config={"max-size": "10m", "max-file": "2"}),
        )
        endpoint = self._api.create_endpoint_config(ipv4_address=wanted.address)
        made = self._api.create_container(
            wanted.image,
            list(wanted.command),
            name=wanted.name,
            user=spec.USER,
            environment=wanted.environment,
            labels=wanted.labels,
            host_config=host,
            networking_config={"EndpointsConfig": {wanted.network: endpoint}},
            stop_timeout=int(self._settings.stop_timeout),
        )
        return str(made["Id"])

    def has_image(self, image: str) -> bool:
        """Whether Docker has an image, by its id."""
        with translated(), gone_is_fine():
            return bool(self._api.inspect_image(image))  # type: ignore[no-untyped-call]
        return False

    def start(self, container: str) -> None:
        """Start a container. Raises ContainerRefused or Unavailable."""
        with translated():
            self._api.start(container)

    def look(self, container: str) -> Look | None:
        """How a container does; None when it is gone."""
        with translated():
            try:
                shown = self._api.inspect_container(container)
            except NotFound:
                return None
        state, policy = shown["State"], shown["HostConfig"]["RestartPolicy"]
        limit = policy.get("MaximumRetryCount", 0)
        return Look(
            running=state["Running"] and not state.get("Restarting"),
            exit_code=state["ExitCode"],
            error=state.get("Error", ""),
            gave_up=policy.get("Name") == "on-failure" and 0 < limit <= shown["RestartCount"],
        )

    def serve(self, container: str, name: str) -> None:
        """Give a candidate its name as one that serves, and the restarts that those have. Does nothing twice."""
        with translated():
            shown = self._api.inspect_container(container)
            if shown["HostConfig"]["RestartPolicy"].get("Name") != "on-failure":
                self._api.update_container(
                    container, restart_policy={"Name": "on-failure", "MaximumRetryCount": spec.RESTARTS}
                )
            if shown["Name"] != f"/{name}":
                self._api.rename(container, name)

    def rename(self, container: str, name: str) -> None:
        """Give a container another name. Raises ContainerRefused when it is taken."""
        with translated():
            self._api.rename(container, name)

    def stop(self, container: str) -> None:
        """SIGTERM, then SIGKILL after the settings' time; nothing when it is gone."""
        timeout = int(self._settings.stop_timeout)
        with translated(), gone_is_fine():
            self._api.stop(container, timeout=timeout)

    def remove(self, container: str) -> None:
        """Remove a container, running or not; nothing when it is gone."""
        with translated(), gone_is_fine():
            self._api.remove_container(container, force=True, v=True)

    def list(self, app: str | None = None) -> list[Found]:
        """Every app container of the instance, or of the app with the uuid `app`, in any state."""
        wanted = [f"pushlog.instance={self._settings.instance}", "pushlog.made-by"]
        wanted += [f"pushlog.app={app}"] if app else []
        with translated():
            shown = self._api.containers(all=True, filters={"label": wanted})
        return [found for row in shown if (found := _found(row))]

    def logs(self, container: str, lines: int | None, since: float | None) -> bytes:
        """What a container printed, each line behind its RFC 3339 time; the last `lines`, from `since` (epoch) on."""
        with translated(), gone_is_fine():
            return bytes(
                self._api.logs(
                    container, timestamps=True, tail="all" if lines is None else lines, since=since, stream=False
                )
            )
        return b""

    def deaths(self) -> Iterator[dict[str, Any]]:
        """Docker's events for app containers of the instance that died or were removed, as they happen."""
        wanted = {
            "type": "container",
            "event": ["die", "destroy"],
            "label": [f"pushlog.instance={self._settings.instance}", "pushlog.made-by"],
        }
        with translated():
            yield from self._api.events(decode=True, filters=wanted)


def kernel_pids() -> int:
    """How many processes and threads the kernel has room for."""
    return min(int(Path(f"/proc/sys/kernel/{name}").read_text()) for name in ("pid_max", "threads-max"))


def _found(row: dict[str, Any]) -> Found | None:
    labels = row["Labels"]
    identity = spec.labelled(labels)
    if identity is None:
        return None
    networks = row["NetworkSettings"]["Networks"].values()
    address = next((n["IPAddress"] for n in networks if n["IPAddress"]), "")
    name = row["Names"][0].removeprefix("/") if row["Names"] else row["Id"]
    return Found(row["Id"], name, row["State"], identity, labels.get("pushlog.app", ""), labels, address)


@contextmanager
def gone_is_fine() -> Iterator[None]:
    """A container that is not there needs no stopping or removing; one that is being removed neither."""
    try:
        yield
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != 409 or "already in progress" not in str(error.explanation):
            raise


@contextmanager
def translated() -> Iterator[None]:
    """Docker's and the connection's errors as ours: what Docker refuses is a reason, what does not answer is not."""
    try:
        with engine.answering():
            yield
    except APIError as error:
        sentence = str(error.explanation or error)
        taken = "Address already in use" in sentence  # by what is just leaving: the next attempt has another one
        if taken or (error.is_server_error() and not is_the_containers_fault(sentence)):
            raise Unavailable(f"Docker failed: {sentence}") from None
        raise ContainerRefused(sentence) from None


def is_the_containers_fault(sentence: str) -> bool:
    """Whether a 500 of Docker's says that this container cannot start, rather than that trying again may help."""
    return "OCI runtime create failed" in sentence or "failed to create shim" in sentence
