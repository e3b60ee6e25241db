"""Asking the running nginx: which configuration it serves, and which container answers for a host."""

import http.client
import io
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from services import names

LARGEST_HEAD = 65536
PROBE_PATTERN = r"^[0-9a-f]{32}$"


@dataclass(frozen=True)
class Answer:
    """What nginx told a probe of a host: the release it chose, and the container that answered.

    Both are empty when there was none: a stopped app, a dead container, a server of the operator.
    """

    release: str
    container: str


def token(folder: Path) -> str:
    """The instance's secret in nginx's `folder`, made at first use."""
    path = folder / "probe-token"
    with suppress(FileNotFoundError):
        if names.matches(PROBE_PATTERN, found := path.read_text()):
            return found
    made = secrets.token_hex(16)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made)
    fresh.replace(path)
    return made


def ask(address: tuple[str, int], host: str, token: str, deadline: float) -> Answer | None:
    """One GET of `http://<host>/` through nginx's public port, ended at the monotonic time `deadline`.

    None when nothing answered by then, or one who does not know the token. The body is not read.
    """
    try:
        with socket.create_connection(address, timeout=_left(deadline)) as connection:
            headers = _head(connection, host, deadline, f"X-Pushlog-Probe: {token}\r\n")
    except (OSError, http.client.HTTPException):
        return None
    told = headers["X-Pushlog-Upstream"]
    if told is None:
        return None
    tried, _, times = told.partition("|")
    # One address and one time for each container that was tried; no time: it sent no answer, nginx made one.
    answered = times.split(", ")[-1] not in ("", "-")
    return Answer(headers["X-Pushlog-Release"] or "", tried.split(", ")[-1] if answered else "")


def served(path: Path, deadline: float) -> str:
    """The configuration that nginx says it serves at the Unix socket `path`; empty when nothing answers in time."""
    try:
        with connected(path, deadline) as connection:
            return str(_head(connection, "tree", deadline)["X-Pushlog-Tree"] or "")
    except (OSError, http.client.HTTPException):
        return ""


@contextmanager
def connected(path: Path, deadline: float) -> Iterator[socket.socket]:
    """A connection to the Unix socket `path`."""
    # A socket's path has at most 107 bytes, and a home may be longer: it is named by its open folder.
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_left(deadline))
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
            yield connection
    finally:
        os.close(folder)


def _head(connection: socket.socket, host: str, deadline: float, more: str = "") -> http.client.HTTPMessage:
    """The headers of the answer to a GET of `/`."""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: pushlog-probe\r\nConnection: close\r\n{more}\r\n"
    connection.settimeout(_left(deadline))
    connection.sendall(request.encode())
    received = b""
    while b"\r\n\r\n" not in received and len(received) < LARGEST_HEAD:
        connection.settimeout(_left(deadline))
        part = connection.recv(LARGEST_HEAD)
        if not part:
            raise ConnectionResetError
        received += part
    stream = io.BytesIO(received)
    stream.readline()
    return http.client.parse_headers(stream)


def _left(deadline: float) -> float:
    """The seconds until `deadline`; TimeoutError when none is left."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
