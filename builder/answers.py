"""What the builder answers over RPC. All values are JSON."""

from typing import Any

from builder.ports import Ports
from builder.state import App
from services import names
from services.errors import NoSuchApp, Refused

Json = dict[str, Any]


def builds(ports: Ports, name: str) -> list[Json]:
    """An app's builds, newest first."""
    return [
        {
            "id": build.id,
            "number": build.number,
            "status": build.status,
            "commit": build.commit,
            "buildpack": build.buildpack,
            "started": build.started,
            "finished": build.finished,
            "reason": build.reason,
        }
        for build in reversed(_app(ports, name).builds.values())
    ]


def build_output(ports: Ports, name: str, build: str | None) -> Json:
    """What a build printed: the one with this id or number, or the latest. Raises Refused when there is none."""
    found = _app(ports, name).builds.values()
    chosen = [b for b in found if build is None or build in (b.id, str(b.number))]
    if not chosen:
        raise Refused(f"build: {name} has no build {names.shown(build) if build else 'yet'}; see: builds:list {name}")
    latest = chosen[-1]
    if latest.output is None:
        return {"text": ports.outputs.read(latest.id, 0).decode(errors="replace")}
    return {"text": ports.blobs.read(latest.output).decode(errors="replace")}


def _app(ports: Ports, name: str) -> App:
    names.app_name(name)
    ports.projections.catch_up()
    for app in ports.state.apps.values():
        if app.name == name:
            return app
    raise NoSuchApp.named(name)
