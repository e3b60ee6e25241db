"""What the deployer answers over RPC. All values are JSON."""

from collections.abc import Sequence
from typing import Any

from deployer import health, mend
from deployer import logs as app_logs
from deployer.ports import Ports
from deployer.state import App, identity
from services import names, usage
from services.errors import Refused, Unavailable
from services.events import Slot

Json = dict[str, Any]


def processes(ports: Ports, name: str) -> list[Json]:
    """The containers that should serve: `state` is running, missing, crashed (Docker gave up) or Docker's word."""
    app = _app(ports, name)
    found = {container.identity: container for container in ports.containers.list(app.id)}
    rows = []
    for slot in app.current.slots if app.current else ():
        container = found.get(identity(slot))
        state = container.state if container else "missing"
        if container and state == "exited" and (look := ports.containers.look(container.id)) and look.gave_up:
            state = "crashed"
        rows.append(
            {
                "process": slot.process,
                "number": slot.number,
                "state": state,
                "container": container.id if container else None,
                "release": app.current.release if app.current else None,
            }
        )
    return rows


def logs(ports: Ports, name: str, lines: int | None, process: str | None, since: str | None) -> Json:
    """An app's last `lines`, only those after the cursor `since`; `cursor` goes into the next question."""
    app = _app(ports, name)
    found = app_logs.collect(ports.containers, ports.archive, app.id, lines, process, since)
    rows = [{"time": line.time, "process": line.process, "text": line.text} for line in found]
    return {"lines": rows, "cursor": found[-1].time if found else since}


def endpoints(ports: Ports, app: str, release: int) -> list[str] | None:
    """Where the web containers of a release that is to be routed answer, `address:port`.

    Each is checked: the container with the slot's labels runs at the slot's address. Raises Refused for one that does
    not, so that nothing is ever routed to another app's container; Unavailable while one that is gone, as on another
    host, comes up again. None while the image for that is made again, which takes as long as a build, and for an app
    that is destroyed: it may be had back.
    """
    ports.projections.catch_up()
    known = ports.state.apps.get(app)
    if known is None:
        return None
    served = next((each for each in known.standing() if each.release == release), None)
    if served is None:
        raise Refused(f"v{release} has no containers to be routed to")
    wanted = {identity(slot): slot.address for slot in served.slots}
    found = {c.identity: c for c in ports.containers.list(app) if not mend.is_stray(c, wanted)}
    if gone := [slot for slot in served.slots if identity(slot) not in found]:
        refuse_gone(ports, known, gone)
        return None
    web = [slot for slot in served.slots if slot.process == health.WEB]
    for slot in web:
        if found[identity(slot)].state != "running":
            raise Refused(f"{known.name} web.{slot.number} does not run at {slot.address}")
        if not health.accepts(slot.address, slot.port):
            raise Unavailable(f"{known.name} web.{slot.number} does not accept connections at {slot.address}")
    return [f"{slot.address}:{slot.port}" for slot in web]


def refuse_gone(ports: Ports, app: App, gone: Sequence[Slot]) -> None:
    """Raise Unavailable if these containers can be brought up again, which mending does, or Refused if one cannot.

    Returns while one waits for its image.
    """
    for slot in gone:
        release = mend.release_of(app, slot)
        if reason := app.lost.get(release.image):
            raise Refused(f"the image of v{release.number} is gone and could not be made again: {reason}")
        if not ports.containers.has_image(app.image(release)):
            return
    ports.look.set()
    raise Unavailable(f"{app.name} {gone[0].process}.{gone[0].number} is gone and is brought up again")


def disk(ports: Ports) -> Json:
    """The bytes of the lines kept of containers that are gone, by the app's name."""
    ports.projections.catch_up()
    names = usage.labels(ports.state.apps, ports.state.gone)
    kept = [(path.name, usage.folder(path)) for path in (ports.settings.home / "logs").glob("*")]
    return {"logs": usage.by_label(names, kept)}


def _app(ports: Ports, name: str) -> App:
    names.app_name(name)
    ports.projections.catch_up()
    return ports.state.named(name)
