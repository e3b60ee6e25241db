"""Listening: whether a port is free, as a sentence before anything starts, and accepting clients for ever."""

import errno
import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

from services.errors import Unavailable

log = logging.getLogger("pushlog")
PAUSE = 0.5


def check(setting: str, bind: str, port: int) -> None:
    """Raise Unavailable, naming the setting, when nobody can listen at the address `bind` (empty: any) and `port`."""
    host = bind.removeprefix("[").removesuffix("]") or None
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
                probe.listen()
        except OSError as error:
            if bind or error.errno in (errno.EADDRINUSE, errno.EACCES):  # without IPv6 the other family serves
                reason = error.strerror or error
                raise Unavailable(
                    f"{setting}: {port} cannot be listened on: {reason}; allowed is a free port"
                ) from None


def accepted(listener: socket.socket, name: str) -> Iterator[tuple[socket.socket, Any]]:
    """Each client's connection and address, until the listener is closed.

    What fails for one client, or for all as long as too many files are open, does not end it.
    """
    while True:
        try:
            client = listener.accept()
        except OSError as error:
            if listener.fileno() < 0:
                return
            log.warning("%s: %s", name, error)
            time.sleep(PAUSE)
        else:
            yield client
