"""What the tests of crashes and isolation see of an instance from outside: the log as stored, its processes, Docker."""

import asyncio
import json
import os
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import sqlalchemy as sa

from services.chain import COLUMNS, GENESIS, Head
from services.eventlog import check_chain
from services.events import Event, Recorded, decode
from services.tables import events
from tests.e2e.harness import Instance, docker, wait_for

BEGUN = ("build.started", "addresses.taken", "deploy.started")
FAILED = ("build.failed", "deploy.failed")


@dataclass(frozen=True)
class Row:
    """One event, read from the log's database."""

    position: int
    type: str
    subject: str
    correlation: str
    time: str
    data: dict[str, Any]


class StoredLog:
    """The log as it stands in its database, whether the platform runs or not."""

    def __init__(self, instance: Instance) -> None:
        self._engine = sa.create_engine(instance.log_database, poolclass=sa.NullPool)

    def _query(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()

    def rows(self, after: int = 0) -> list[Row]:
        """The events after a position by which something happened: that something was refused may come later."""
        found = self._query(
            sa.select(events.c["position", "type", "subject", "correlationid", "time", "data"])
            .where(events.c.position > after, events.c.type != "command.refused")
            .order_by(events.c.position)
        )
        return [Row(*row[:-1], json.loads(row[-1])) for row in found]

    def head(self) -> int:
        """The position of the last event by which something happened."""
        happened = events.c.type != "command.refused"
        return int(self._query(sa.select(sa.func.max(events.c.position)).where(happened))[0][0])

    def wait_for(self, type: str, after: int, timeout: float = 30.0) -> Row:
        """The first event of a type after a position, as soon as it stands there."""

        def look() -> Row | None:
            return next((row for row in self.rows(after) if row.type == type), None)

        found = wait_for(look, f"a {type}", timeout)
        assert found
        return found

    def wait_for_end(self, after: int) -> list[str]:
        """The types of the story that a push after a position began, once it has come to its end."""

        def over() -> list[str] | None:
            story = [row for row in self.rows(after) if row.correlation == push.correlation]
            types = [row.type for row in story]
            replaces = [row.data["replaces"] for row in story if row.type == "route.published"]
            done = "ref.moved" in types and ("release.retired" in types or replaces == [None])
            return types if done or set(FAILED) & set(types) else None

        push = self.wait_for("push.received", after)
        found = wait_for(over, "the end of the push", 60)
        assert found
        once = Counter(kind for kind in found if kind not in BEGUN)
        assert set(once.values()) == {1}, found
        return found

    def check(self) -> None:
        """Every event follows from the one before, and each stream counts from 1."""
        rows = [tuple(row) for row in self._query(sa.select(events.c[*COLUMNS, "hash"]).order_by(events.c.position))]
        check_chain(rows, Head(0, GENESIS))
        versions: Counter[str] = Counter()
        for row in rows:
            versions[row[2]] += 1
            assert row[3] == versions[row[2]]


def processes(folder: Path) -> dict[int, str]:
    """The processes that run in or below a folder or name it on their command line; their command lines by id."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if pid != os.getpid() and (
                str(folder) in command or Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(folder)
            ):
                found[pid] = command
    return found


def in_docker(name: str) -> dict[str, set[str]]:
    """The ids of all that carries an instance's name in Docker, by kind."""
    label = f"label=pushlog.instance={name}"
    return {
        "containers": set(docker("ps", "-aq", "--no-trunc", "--filter", label).split()),
        "networks": set(docker("network", "ls", "-q", "--no-trunc", "--filter", label).split()),
        "volumes": set(docker("volume", "ls", "-q", "--filter", label).split()),
        "images": set(docker("images", "-aq", "--no-trunc", "--filter", label).split()),
    }


def build_containers(instance: Instance) -> list[str]:
    """The ids of an instance's containers that build, in any state."""
    labels = (f"pushlog.instance={instance.name}", "pushlog.process=build")
    return docker(
        "ps", "-aq", "--no-trunc", *(word for label in labels for word in ("--filter", f"label={label}"))
    ).split()


def serving(instance: Instance, app: str) -> dict[str, Any]:
    """`docker inspect` of an app's one container, once it is the only one, runs and has its final name."""

    def look() -> dict[str, Any] | None:
        found = instance.containers_of(app)
        settled = (
            len(found) == 1 and found[0]["State"]["Running"] and found[0]["Name"] == f"/{instance.name}.{app}.web.1"
        )
        return found[0] if settled else None

    container = wait_for(look, f"one container of {app}")
    assert container
    return container


def address(container: Mapping[str, Any]) -> str:
    """The address of an inspected container."""
    (network,) = container["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


def listens(host: str, port: int) -> bool:
    """Whether a TCP connection from this host comes about."""
    with suppress(OSError), socket.create_connection((host, port), timeout=5):
        return True
    return False


def reaches(container: dict[str, Any], host: str, port: int) -> bool:
    """Whether a TCP connection from within a container comes about."""
    program = f"import socket; socket.create_connection(({host!r}, {port}), timeout=1)"
    return not subprocess.run(
        ["docker", "exec", container["Id"], "python3", "-c", program], capture_output=True
    ).returncode


@contextmanager
def answers_within(instance: Instance, seconds: float) -> Iterator[None]:
    """After what happens within, nothing more is recorded and the door answers in time."""
    log = StoredLog(instance)
    before = log.head()
    yield
    start = time.monotonic()
    instance.ssh("apps:list")
    assert time.monotonic() - start < seconds
    assert log.head() == before


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int | None
    out: str
    err: str


def at_once(instance: Instance, lines: Sequence[str]) -> list[Said]:
    """Run command lines at the same moment over one SSH connection of this very process (at most 32)."""

    async def run() -> list[Said]:
        options = {"username": "x", "known_hosts": None, "config": None, "client_keys": [str(instance.key)]}
        async with asyncssh.connect("127.0.0.1", instance.ssh_port, **options) as connection:
            done = await asyncio.gather(*(connection.run(line) for line in lines))
        return [Said(each.exit_status, str(each.stdout), str(each.stderr)) for each in done]

    return asyncio.run(run())


def recorded(found: dict[str, Any]) -> Recorded[Event]:
    """The event of a CloudEvents object."""
    schema = found["schemaversion"]
    names = ("id", "type", "subject", "time", "position", "stream", "version", "actor", "origin", "command")
    rest = {name: found[name] for name in (*names, "correlationid", "causationid", "hash")}
    data = decode(found["type"], schema, json.dumps(found["data"]))
    return Recorded(source=found["source"].removeprefix("/pushlog/"), schema=schema, data=data, **rest)
