"""What the builder answers over RPC. All values are JSON."""

from collections.abc import Mapping
from typing import Any

from builder import containers, retention
from builder.ports import Ports
from builder.state import App
from services import names, usage
from services.errors import NoSuchApp, Refused, Unavailable

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


def clean_up(ports: Ports) -> list[Json]:
    """Remove the images that are not kept; what went."""
    gone = retention.clean_up(ports)
    names = usage.labels(ports.state.apps, ports.state.gone)
    return [{"app": names.get(image.app), "image": image.id, "kind": image.kind, "size": image.size} for image in gone]


def disk(ports: Ports) -> Json:
    """The bytes of images, caches and blobs, by the app's name; a blob that no build knows is no app's.

    Caches are None when Docker does not count them in time.
    """
    ports.projections.catch_up()
    state = ports.state
    owners = {
        digest: app.id
        for app in (*state.apps.values(), *state.gone.values())
        for build in app.builds.values()
        for digest in (build.source, build.output)
    }
    folder, names = ports.settings.home / "blobs", usage.labels(state.apps, state.gone)
    blobs = [(owners.get(f"sha256:{path.name}", ""), usage.folder(path)) for path in folder.glob("[0-9a-f]*")]
    images = [(image.app, image.size) for image in retention.found(ports.client, ports.settings)]
    told = {"images": usage.by_label(names, images), "blobs": usage.by_label(names, blobs)}
    return {**told, "caches": caches(ports, names)}


def caches(ports: Ports, names: Mapping[str, str]) -> dict[str, int] | None:
    """The bytes of the apps' package caches, by the app's name; None when Docker does not count them in time."""
    try:
        with containers.translated():
            found = containers.volume_sizes(ports.client, {"pushlog.instance": ports.settings.instance})
    except Unavailable:
        return None
    return usage.by_label(names, [(labels.get("pushlog.app", ""), size) for labels, size in found])


def _app(ports: Ports, name: str) -> App:
    names.app_name(name)
    ports.projections.catch_up()
    for app in ports.state.apps.values():
        if app.name == name:
            return app
    raise NoSuchApp.named(name)
