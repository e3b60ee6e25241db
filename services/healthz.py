"""A process's health, told: over HTTP at /healthz, on the home's socket, and in the table of processes.

An answer comes from memory, so that asking costs the platform nothing and tells of a database that hangs, too.
"""

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import eventlet

from services import consumers, instance, listening
from services.broker import is_inprocess
from services.ending import Lasting
from services.errors import PushlogError
from services.health import Health
from services.platform import Platform
from services.settings import Settings

EVERY = 4.0
PATIENCE = 3.0
ASKERS, ASKER_PATIENCE = 16, 5.0


@contextmanager
def told(settings: Settings, services: Sequence[str], lasting: Lasting) -> Iterator[Health]:
    """Tell the health of this process while the block runs. Raises Unavailable when the port cannot be had."""
    health = Health(settings, services, None if is_inprocess(settings.broker_url.get_secret_value()) else consumers.up)
    with ExitStack() as listeners:
        at_home = [instance.health_path(settings.home)] if settings.alone else []  # whoever holds its lock owns it
        for path in [*at_home, *([settings.health_socket] if settings.health_socket else [])]:
            path.unlink(missing_ok=True)
            local = listeners.enter_context(closing(socket.socket(socket.AF_UNIX)))
            local.bind(str(path))
            local.listen()
            lasting("/healthz", answer, local, health)
        if settings.health_port:
            listening.check("PUSHLOG_HEALTH_PORT", settings.health_bind, settings.health_port)
            host = settings.health_bind.removeprefix("[").removesuffix("]")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, settings.health_port), family=family)
            lasting("/healthz", answer, listeners.enter_context(closing(listener)), health)
        yield health


def watch(health: Health, platform: Platform) -> None:
    """Look at the process's parts for ever, and say in the table what was seen."""
    health.begin(platform)
    while True:
        health.look()
        if platform.processes:
            with suppress(PushlogError):  # then the others see it silent, which is what it is
                platform.processes.tell(health.services, health.report())
        eventlet.sleep(EVERY)


def leave(platform: Platform) -> None:
    """Take the process out of the table, unless that takes long: then the others see it silent."""
    if platform.processes:
        with suppress(PushlogError), eventlet.Timeout(PATIENCE, False):
            platform.processes.leave()


def answer(listener: Any, health: Health) -> None:
    """Answer whoever asks, a bounded number at once and each within a deadline, for ever."""
    pool = eventlet.GreenPool(ASKERS)
    for connection, address in listening.accepted(listener, "/healthz"):
        pool.spawn_n(_answer, connection, address, health)


def _answer(connection: Any, address: Any, health: Health) -> None:
    with closing(connection), eventlet.Timeout(ASKER_PATIENCE, False), suppress(OSError):
        _Asked(connection, address, health)


class _Asked(BaseHTTPRequestHandler):
    """One request, of which only the path is looked at; then the connection is closed."""

    server_version, sys_version = "pushlog", ""
    error_content_type, error_message_format = "application/json", '{"error": "allowed is GET /healthz"}\n'

    def __init__(self, connection: Any, address: Any, health: Health) -> None:
        self._health = health
        super().__init__(connection, address, None)  # type: ignore[arg-type]  # no server is behind it

    def do_GET(self) -> None:
        """The health, as 200 or 503."""
        if self.path.partition("?")[0] != "/healthz":
            self._reply(404, {"error": "allowed is /healthz"})
        else:
            report = self._health.report()
            self._reply(200 if report["status"] == "well" else 503, report)

    do_HEAD = do_GET  # noqa: N815 the library asks for it

    def _reply(self, code: int, body: Mapping[str, Any]) -> None:
        data = json.dumps(body).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing: whoever asks every second would fill the log."""
