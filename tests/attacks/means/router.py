"""Strangers at the router."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.attacks.places import Place
from tests.e2e.harness import Instance

REQUESTS, CONNECTIONS = 128, 512
"""What one address may have open at the router, by default."""
HALF = 3 * CONNECTIONS
SLOW = 2 * REQUESTS


@contextmanager
def half_requests(instance: Instance, at: Place, host: str) -> Iterator[list[socket.socket]]:
    """Requests whose headers never end."""
    with ExitStack() as opened:
        half = f"GET / HTTP/1.1\r\nHost: {host}\r\nX: ".encode()
        yield [opened.enter_context(_begun(instance, at, half)) for _ in range(HALF)]


@contextmanager
def half_uploads(instance: Instance, at: Place, host: str) -> Iterator[list[socket.socket]]:
    """Requests whose bodies never end, and lie on the disk."""
    with ExitStack() as opened:
        half = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\n".encode() + b"x" * 65536
        yield [opened.enter_context(_begun(instance, at, half)) for _ in range(SLOW)]


@contextmanager
def slow_readers(instance: Instance, at: Place, host: str, path: str) -> Iterator[list[socket.socket]]:
    """Requests for a large answer that nobody reads."""
    with ExitStack() as opened:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        yield [opened.enter_context(_begun(instance, at, request)) for _ in range(SLOW)]


def _begun(instance: Instance, at: Place, data: bytes) -> socket.socket:
    connection = at.connect(instance.http_port)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # little waits in the kernel, much at the router
    connection.setblocking(False)
    with suppress(OSError):  # it may be ended already
        connection.send(data)
    return connection


def is_ended(connection: socket.socket) -> bool:
    """Whether the router ended the connection, or refused its request. Nothing is taken from the connection."""
    try:
        return connection.recv(12, socket.MSG_PEEK)[9:12] in (b"", b"429")
    except BlockingIOError:
        return False
    except OSError:
        return True
