"""Which images are kept: those of the current release, of what may follow it, and of the last five before it.

Others go, by the ids that the log knows them by. What a container uses, or another image rests on, Docker does not let
go: it is tried again later. No deploy waits for this, or fails because of it.
"""

import logging
from dataclasses import dataclass
from time import monotonic

import docker

from builder import containers
from builder.containers import translated
from builder.ports import Ports
from services.errors import Unavailable
from services.settings import Settings

log = logging.getLogger("pushlog.builder")

EVERY = 300.0
"""Seconds until what could not go is tried again."""


@dataclass(frozen=True)
class Found:
    """An image of an app (uuid) in Docker. `kind` is app or dependencies, `named` whether a name leads to it.

    `size` is in bytes, without those of the image that it rests on.
    """

    id: str
    app: str
    kind: str
    size: int
    named: bool


def for_ever(ports: Ports) -> None:
    """Clean up at the start, whenever a release was routed or retired, and every EVERY seconds."""
    turn = turns = -1
    due = 0.0
    while True:
        if ports.state.turns != turns or monotonic() >= due:
            turns, due = ports.state.turns, monotonic() + EVERY
            try:
                clean_up(ports)
            except Unavailable as error:
                log.warning("old images stay for now: %s", error)
        turn = ports.projections.wait(turn, EVERY)


def clean_up(ports: Ports) -> list[Found]:
    """Remove the images that are not kept, and blobs of shredded apps; returns the images. Raises Unavailable."""
    ports.projections.catch_up()
    if swept := ports.blobs.remove(ports.state.leftovers()):
        log.info("removed %d blobs of apps that were shredded", swept)
    there = found(ports.client, ports.settings)
    gone = [image for image in there if image.kind == "app" and removed(ports, image)]
    # what rested on these may go now; the one with a name is what the next build begins with
    loose = (image for image in there if image.kind == "dependencies" and not image.named)
    gone += [image for image in loose if let_go(ports, image)]
    for image in gone:
        log.info("removed the %s image %.19s, which no release needs", image.kind, image.id)
    return gone


def removed(ports: Ports, image: Found) -> bool:
    """Remove an image if it is not to be kept; a release may have been made of it a moment ago."""
    ports.projections.catch_up()
    app = ports.state.apps.get(image.app) or ports.state.gone.get(image.app)
    return app is not None and image.id in app.surplus() and let_go(ports, image)


def let_go(ports: Ports, image: Found) -> bool:
    """Remove an image that nothing uses; returns whether it did."""
    with translated():
        return containers.let_go(ports.client, image.id)


def found(client: docker.DockerClient, settings: Settings) -> list[Found]:
    """Every image of the instance's apps. Raises Unavailable."""
    with translated():
        there = {row["Id"]: row for row in client.api.images(all=True)}
    ours = []
    for id_, row in there.items():
        labels = row["Labels"] or {}
        if labels.get("pushlog.instance") != settings.instance or not labels.get("pushlog.app"):
            continue
        below = there.get(row["ParentId"], {"Size": 0})["Size"]
        named = any(name != "<none>:<none>" for name in row["RepoTags"] or ())
        kind = labels.get("pushlog.image", "")
        ours.append(Found(id_, labels["pushlog.app"], kind, max(0, row["Size"] - below), named))
    return ours
