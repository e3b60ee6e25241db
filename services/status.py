"""How an instance does, seen from outside it: its process, ports, Docker and log."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from services import engine, instance
from services.database import head
from services.errors import PushlogError
from services.settings import Settings

TIMEOUT = 3


@dataclass(frozen=True)
class Part:
    """One part of an instance: whether it is well, and a few words."""

    name: str
    well: bool
    words: str


def look(settings: Settings) -> list[Part]:
    """Every part of the instance. Asks each for at most TIMEOUT seconds; raises nothing."""
    pid = instance.running_pid(settings.home)
    return [
        Part(
            "platform", pid is not None, f"process {pid}" if pid else "not running; start it with: pushlog up --detach"
        ),
        _port("ssh", settings.ssh_bind, settings.ssh_port),
        _port("http", settings.http_bind, settings.http_port),
        _asked("docker", _docker),
        _asked("log", lambda: _log(settings)),
    ]


def text(settings: Settings, parts: list[Part]) -> str:
    """The report for people."""
    lines = [f"=====> {settings.instance} at {settings.home}"]
    lines += [f"       {part.name + ':':<12}{'' if part.well else '! '}{part.words}" for part in parts]
    return "\n".join(lines)


def as_json(settings: Settings, parts: list[Part]) -> str:
    """The report for programs: one object, each part with `well` and `words`."""
    rows = {part.name: {"well": part.well, "words": part.words} for part in parts}
    return json.dumps({"instance": settings.instance, "home": str(settings.home), **rows})


def _port(name: str, bind: str, port: int) -> Part:
    try:
        with socket.create_connection((bind or "127.0.0.1", port), timeout=TIMEOUT):
            return Part(name, True, f"port {port} answers")
    except OSError as error:
        return Part(name, False, f"port {port} does not answer: {error.strerror or error}")


def _asked(name: str, ask: Callable[[], str]) -> Part:
    try:
        return Part(name, True, ask())
    except (sa.exc.SQLAlchemyError, PushlogError, OSError) as error:
        return Part(name, False, str(error) if isinstance(error, PushlogError) else f"does not answer: {error}")


def _docker() -> str:
    with engine.answering():
        return "version " + str(engine.connect().version()["Version"])


def _log(settings: Settings) -> str:
    url = sa.make_url(settings.database)
    if url.get_backend_name() == "sqlite" and not settings.log_url and not (settings.home / "log.sqlite").exists():
        return "empty"
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return f"position {connection.execute(sa.select(head.c.position)).scalar_one()}"
    finally:
        engine.dispose()
