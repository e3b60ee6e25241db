"""What Docker is told about a container, as values: pure functions of the log and the settings."""

import hashlib
import json
from dataclasses import dataclass, field

from deployer.state import App, Identity
from services.events import ReleaseCreated, Slot
from services.settings import Settings

PORT = 5000
USER = "app"
RESTARTS = 10
LABEL = "pushlog."
MOST_PIDS, FEWEST_PIDS = 4096, 64
APPS_PART, CONTAINERS_PART = 8, 32
"""An app's containers may have an 8th of the processes that the kernel has room for, and each of them a 32nd."""


@dataclass(frozen=True)
class ContainerSpec:
    """One container. `environment` holds opened secrets: it goes to Docker and nowhere else."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    labels: dict[str, str]
    network: str
    address: str
    pids: int = FEWEST_PIDS


def digest(release: ReleaseCreated, process: str, number: int) -> str:
    """A digest of all that makes a slot's container what it is; secrets count as they are sealed."""
    parts = [
        release.image,
        release.commit,
        release.processes[process],
        process,
        number,
        PORT,
        sorted(release.config.items()),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def container_name(settings: Settings, app: str, slot: Slot) -> str:
    """`<app>.<process>.<n>`, as people's scripts look for; behind the instance's name unless it is the default one."""
    name = f"{app}.{slot.process}.{slot.number}"
    return name if settings.instance == "pushlog" else f"{settings.instance}.{name}"


def candidate_name(settings: Settings, app: str, slot: Slot, release: int) -> str:
    """A candidate's name, until it serves."""
    return f"{container_name(settings, app, slot)}.v{release}"


def network_name(settings: Settings) -> str:
    """The apps' network."""
    return f"pushlog-{settings.instance}"


def container(
    settings: Settings, app: App, release: ReleaseCreated, slot: Slot, config: dict[str, str], name: str, kernel: int
) -> ContainerSpec:
    """The container of a slot. `config` is the release's, opened; `kernel` is what kernel_pids tells."""
    return ContainerSpec(
        name=name,
        image=app.image(release),
        command=("/bin/bash", "-c", release.processes[slot.process]),
        environment={
            **config,
            "PORT": str(slot.port),
            "DYNO": f"{slot.process}.{slot.number}",
            "GIT_REV": release.commit,
        },
        labels=labels(settings, app.id, app.name, release.number, slot),
        network=network_name(settings),
        address=slot.address,
        pids=settings.app_pids or pids(kernel, sum(release.formation.values())),
    )


def pids(kernel: int, containers: int) -> int:
    """How many processes and threads each of an app's containers may have, where the kernel has room for `kernel`."""
    fair = min(kernel // CONTAINERS_PART, kernel // APPS_PART // max(1, containers))
    return max(FEWEST_PIDS, min(MOST_PIDS, fair))


def labels(settings: Settings, app: str, name: str, release: int, slot: Slot) -> dict[str, str]:
    """The labels that say whose a container is; they are its identity, its name is for people."""
    values = {
        "instance": settings.instance,
        "app": app,
        "name": name,
        "process": slot.process,
        "number": slot.number,
        "release": release,
        "made-by": slot.made_by,
        "attempt": slot.attempt,
        "address": slot.address,
    }
    return {LABEL + key: str(value) for key, value in values.items()}


def labelled(labels: dict[str, str]) -> Identity | None:
    """The identity that a container's labels give; None for a container that is no app's process.

    Anybody can label a container: what is no number is 0, which no slot has.
    """
    made_by = labels.get(LABEL + "made-by")
    if made_by is None:
        return None
    attempt, number = (labels.get(LABEL + key, "") for key in ("attempt", "number"))
    return (
        made_by,
        int(attempt) if attempt.isdecimal() else 0,
        labels.get(LABEL + "process", ""),
        int(number) if number.isdecimal() else 0,
    )


def is_later(labels: dict[str, str], others: dict[str, str]) -> bool:
    """Whether a labelled container is the same app's as another one, and was made by a later release or attempt."""
    return labels.get(LABEL + "app") == others.get(LABEL + "app") and _made(labels) > _made(others)


def _made(labels: dict[str, str]) -> tuple[int, int]:
    release, attempt = (labels.get(LABEL + key, "") for key in ("release", "attempt"))
    return int(release) if release.isdecimal() else 0, int(attempt) if attempt.isdecimal() else 0
