"""The parts around an instance's processes, each asked whether it does well: ports, nginx, Docker, broker, disk."""

import importlib
import os
import shutil
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

from services import engine
from services.broker import ERRORS, connection, is_inprocess
from services.errors import Unavailable
from services.settings import Settings

TIMEOUT = 3
LEAST_FREE = 1 << 30
"""Bytes of the home's file system: less than that, and a push or a build may not find the room it needs."""


@dataclass(frozen=True)
class Part:
    """One part: whether it is well (None: that cannot be seen from here), a few words, and figures for programs."""

    name: str
    well: bool | None
    words: str
    figures: Mapping[str, int] = field(default_factory=dict)


def here() -> str:
    """What processes of this machine, or of this container, say that they run on."""
    return os.uname().nodename


def _elsewhere(node: str) -> str:
    return f"not seen from here; it runs on {node}" if node else "not seen from here"


def port(name: str, bind: str, number: int, node: str, hello: bytes, answer: bytes = b"") -> Part:
    """Whether who listens at a port answers `hello` with what begins with `answer`; be it that it hangs up.

    `node` is where its process runs; "": nobody knows. A port that is not on this machine, or not in this container,
    may be out of reach, and then that says nothing.
    """
    host = bind.removeprefix("[").removesuffix("]")
    local = "127.0.0.1" if host in ("", "0.0.0.0") else "::1" if host == "::" else host  # noqa: S104
    try:
        with socket.create_connection((local if node in ("", here()) else node, number), timeout=TIMEOUT) as connection:
            if _answer(connection, hello, len(answer)) != answer:
                return Part(name, False, f"port {number} is answered by something else")
    except TimeoutError:
        words = f"port {number} does not answer in time"
    except OSError as error:
        words = f"port {number} does not answer: {error.strerror or error}"
    else:
        return Part(name, True, f"port {number} answers")
    return Part(name, False, words) if node == here() else Part(name, None, _elsewhere(node))


def _answer(connection: socket.socket, hello: bytes, length: int) -> bytes:
    """The first bytes of the answer; TimeoutError when there is none."""
    try:
        connection.sendall(hello)
        return connection.recv(length or 1)[:length]
    except ConnectionError:  # it hung up, with or without having read what it was sent
        return b""


def nginx(settings: Settings, node: str) -> Part:
    """Whether this instance's nginx runs; `node` is where its router runs."""
    pid = importlib.import_module("router.ready").nginx_pid(settings)
    if pid is not None:
        return Part("nginx", True, f"process {pid}", {"pid": pid})
    if settings.alone:
        return Part("nginx", False, "not running")
    return Part("nginx", None, _elsewhere(node))


def docker(settings: Settings) -> Part:
    """Whether Docker answers. One without a socket for it is no fault of a process that needs none."""
    given = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    path = given.removeprefix("unix://")
    if path != given and not os.path.exists(path):
        words = f"no socket {path} here"
        return Part("docker", False, words) if settings.alone else Part("docker", None, f"not seen: {words}")
    with engine.answering(), closing(engine.connect()) as client:
        return Part("docker", True, "version " + str(client.version()["Version"]))


def broker(settings: Settings) -> Part:
    """Whether the broker takes a connection. Raises Unavailable."""
    url = settings.broker_url.get_secret_value()
    if is_inprocess(url):
        return Part("broker", True, "in-process")
    try:
        with connection(url) as link:
            link.connect()
            about = link.connection.server_properties
    except ERRORS as error:
        raise Unavailable(f"does not answer: {error}") from error
    return Part("broker", True, f"{about.get('product', 'AMQP')} {about.get('version', '')}".rstrip())


def disk(settings: Settings) -> Part:
    """How much room the home's file system has."""
    usage = shutil.disk_usage(settings.home)
    percent = 100 * usage.free // max(1, usage.total)
    words = f"{usage.free / (1 << 30):.1f} GiB free, {percent} %"
    if usage.free < LEAST_FREE:
        words += f"; builds and pushes need {LEAST_FREE >> 30} GiB"
    return Part("disk", usage.free >= LEAST_FREE, words, {"free": usage.free, "percent": percent})
