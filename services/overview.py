"""What is known of an instance's processes, leases and log, from whichever of its processes or machines one looks."""

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from services import instance, processes, tables
from services.errors import PushlogError, Unavailable
from services.processes import Process
from services.settings import Settings

TIMEOUT = 3
ROLE = "role/"


@dataclass(frozen=True)
class Held:
    """A lease: of a role, or of the work that the event of `type` asks for and that is about `subject`."""

    work: str
    holder: str
    attempt: int
    type: str
    subject: str

    @property
    def words(self) -> str:
        """What it is the lease of."""
        if self.work.startswith(ROLE):
            return f"the role of {self.work.removeprefix(ROLE)}"
        return f"{self.type} of {self.subject}, attempt {self.attempt}" if self.type else f"{self.work}, unknown"


@dataclass(frozen=True)
class Overview:
    """The log's last position, the leases, and what the processes say; a silent one may be gone."""

    position: int
    leases: list[Held]
    processes: list[Process]


def read(settings: Settings) -> Overview:
    """What the database says, and, for an instance of one process, what that says. Raises Unavailable."""
    url = sa.make_url(settings.database)
    if settings.alone and not settings.log_url and not (settings.home / "log.sqlite").exists():
        return Overview(0, [], at_home(settings))
    try:
        position, leases, said = _read(url, alone=settings.alone)
    except (sa.exc.SQLAlchemyError, PushlogError) as error:
        why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise Unavailable(f"does not answer: {why}") from error
    return Overview(position, leases, at_home(settings) if settings.alone else said)


def _read(url: sa.URL, *, alone: bool) -> tuple[int, list[Held], list[Process]]:
    if alone:
        engine = sa.create_engine(url, connect_args={"timeout": TIMEOUT})
    else:
        options = {"connect_timeout": TIMEOUT, "options": f"-c statement_timeout={TIMEOUT}s"}
        engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), connect_args=options)
    events, leases = tables.events, tables.leases
    held = sa.select(leases.c.work, leases.c.holder, leases.c.attempt, events.c.type, events.c.subject)
    try:
        with engine.connect() as connection:
            position = connection.execute(sa.select(tables.head.c.position)).scalar_one()
            rows = connection.execute(held.outerjoin_from(leases, events, events.c.id == leases.c.work))
            found = [Held(*row[:3], row.type or "", row.subject or "") for row in rows]
            return position, found, [] if alone else processes.seen(connection)
    finally:
        engine.dispose()


def at_home(settings: Settings) -> list[Process]:
    """The one process of an instance, as it says at the home's socket; silent when it runs and says nothing."""
    pid = instance.running_pid(settings.home)
    if pid is None:
        return []
    asked = _AtSocket(instance.health_path(settings.home))
    try:
        asked.request("GET", "/healthz")
        report = json.loads(asked.getresponse().read())
        return [Process(str(pid), tuple(report["services"]), report, 0.0)]
    except (OSError, http.client.HTTPException, ValueError):
        return [Process(str(pid), (), {"pid": pid}, float("inf"))]
    finally:
        asked.close()


class _AtSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("pushlog", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """See HTTPConnection."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(str(self._path))
