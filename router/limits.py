"""How much of nginx one client and all clients together may hold: requests, and what these may keep on the disk."""

from dataclasses import dataclass

from router.machine import Machine
from services.settings import Settings

WORKERS = 2
MOST_SLOTS = 16384
CONNECTIONS = 4
"""Connections that one client may have for each request that it may have open: most idle between two requests."""
EVERYONE = 4096
UPLOADS_KEPT = 4096
"""MiB of request bodies that lie on the disk at once, unless 64 uploads are more."""

HEADERS_WITHIN = 10
"""Seconds for all headers of a request together."""
BODY_PAUSE = SEND_PAUSE = 30
"""Seconds between two parts of a request's body, and between two that a client takes of an answer."""
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Limits:
    """`slots` are a worker's connections, `everyone` all open requests, `client` those of one address.

    `connections` are those of one address where nginx has a front. `uploads` and `client_uploads` are requests whose
    body may lie on the disk. `unlimited` are the networks that are counted among nobody's: this machine, where a proxy
    may be, and the trusted proxies.
    """

    slots: int
    everyone: int
    client: int
    connections: int
    uploads: int
    client_uploads: int
    unlimited: tuple[str, ...]
    headers_within: int
    body_pause: int
    send_pause: int


def limits(settings: Settings, machine: Machine) -> Limits:
    """The limits of an nginx on `machine`."""
    slots = min(MOST_SLOTS, machine.files // 4)
    # A request takes two of nginx's connections, and two more behind a front. As many again are left for clients that
    # are idle or have not sent all of their headers.
    everyone = min(EVERYONE, WORKERS * slots // (4 if machine.stream is None else 8))
    uploads = max(64, min(1024, UPLOADS_KEPT // _mebibytes(settings.body_limit)))
    own = [] if (bind := settings.http_bind.strip("[]")) in ("", "::", "0.0.0.0") else [bind]  # noqa: S104
    unlimited = tuple(dict.fromkeys([*LOOPBACK, *own, *settings.trusted_proxies]))
    return Limits(
        slots=slots,
        everyone=everyone,
        client=settings.client_limit,
        connections=CONNECTIONS * settings.client_limit,
        uploads=uploads,
        client_uploads=uploads // 8,
        unlimited=unlimited,
        headers_within=HEADERS_WITHIN,
        body_pause=BODY_PAUSE,
        send_pause=SEND_PAUSE,
    )


def _mebibytes(size: str) -> int:
    return int(size[:-1]) * (1024 if size.endswith("g") else 1)
