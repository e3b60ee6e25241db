"""A release's new containers before they serve: started side by side, watched until healthy, or gone again."""

from collections.abc import Sequence
from functools import partial

from deployer import health, spec
from deployer.containers import kernel_pids
from deployer.ports import Ports
from deployer.state import App, identity
from services.blobs import LiveOutput
from services.events import ReleaseCreated, Slot
from services.tasks import side_by_side

LAST_LINES = 30


def start(ports: Ports, app: App, release: ReleaseCreated, slots: Sequence[Slot]) -> None:
    """Bring up the slots' containers; returns when each is healthy.

    Raises ContainerRefused, Unhealthy or Unavailable.
    """
    config = ports.keyring.open_all(app.id, release.config)

    def bring_up(slot: Slot) -> None:
        name = first_name(ports, app, release.number, slot)
        wanted = spec.container(ports.settings, app, release, slot, config, name, kernel_pids())
        container = ports.containers.create(wanted)
        ports.containers.start(container)
        health.wait(slot, lambda: ports.containers.look(container), ports.settings)

    side_by_side([partial(bring_up, slot) for slot in slots])


def first_name(ports: Ports, app: App, release: int, slot: Slot) -> str:
    """What a new container is called: its final name if nothing serves yet, else a candidate's."""
    if app.current is None:
        return spec.container_name(ports.settings, app.name, slot)
    return spec.candidate_name(ports.settings, app.name, slot, release)


def last_lines(ports: Ports, app: App, slots: Sequence[Slot], output: LiveOutput) -> None:
    """Show the pusher what the candidates printed last."""
    wanted = {identity(slot) for slot in slots}
    for container in ports.containers.list(app.id):
        if container.identity in wanted:
            name = f"{container.identity[2]}.{container.identity[3]}"
            for line in ports.containers.logs(container.id, LAST_LINES, None).decode(errors="replace").splitlines():
                output.line(f"       {name}: {line.partition(' ')[2]}")


def remove(ports: Ports, app: str, slots: Sequence[Slot]) -> None:
    """Remove the slots' containers, keeping what they printed."""
    wanted = {identity(slot) for slot in slots}
    for container in ports.containers.list(app):
        if container.identity in wanted:
            bury(ports, container.id, app, f"{container.identity[2]}.{container.identity[3]}")


def bury(ports: Ports, container: str, app: str, process: str) -> None:
    """Remove one container and keep what it printed."""
    ports.archive.keep(app, process, ports.containers.logs(container, None, None))
    ports.containers.remove(container)
