"""What the deployer answers over RPC. All values are JSON."""

from typing import Any

from deployer import logs as app_logs
from deployer.ports import Ports
from deployer.state import App, identity
from services import names, usage
from services.errors import Refused

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


def endpoints(ports: Ports, app: str, release: int) -> list[str]:
    """Where the web containers of a release that is to be routed answer, `address:port`.

    Each is checked: the container with the slot's labels runs at the slot's address. Raises Refused for one that does
    not, so that nothing is ever routed to another app's container.
    """
    ports.projections.catch_up()
    known = ports.state.apps.get(app)
    served = known and (known.candidate if known.candidate and known.candidate.release == release else known.current)
    if not known or not served or served.release != release:
        raise Refused(f"v{release} has no containers to be routed to")
    found = {container.identity: container for container in ports.containers.list(app)}
    upstreams = []
    for slot in served.slots:
        if slot.process != "web":
            continue
        container = found.get(identity(slot))
        if container is None or container.address != slot.address or container.state != "running":
            raise Refused(f"{known.name} web.{slot.number} does not run at {slot.address}")
        upstreams.append(f"{slot.address}:{slot.port}")
    return upstreams


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
