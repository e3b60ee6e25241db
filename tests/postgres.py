"""A real PostgreSQL server of the tests' own: a data directory, a Unix socket and a port that nobody else has.

`server()` is the one that a test session shares; `Server()` is another, for tests that kill, pause or misconfigure it.
Nothing relies on a PostgreSQL service of the machine, and no server outlives the process that started it.
"""

import atexit
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

DEADLINE = 60.0
HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True)
class Database:
    """A database with a role that owns it and one for the application, which owns nothing."""

    name: str
    owner: str
    role: str
    url: str
    """The application's."""
    owner_url: str


class Server:
    """A running server. `settings` are lines of postgresql.conf."""

    def __init__(self, *settings: str) -> None:
        self.folder = _owned_by_postgres(tempfile.mkdtemp(prefix="pushlog-postgres-"))
        self.data = self.folder / "data"
        subprocess.run(["cp", "-a", _initialised(), self.data], check=True)
        self.port = _free_port()
        self.configure("max_connections = 50", "shared_buffers = 16MB", "max_wal_size = 256MB", *settings)
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.remove)
        self.start()

    def configure(self, *settings: str) -> None:
        """Add lines to postgresql.conf, for the next start."""
        with (self.data / "postgresql.conf").open("a") as config:
            config.write("\n".join(settings) + "\n")

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = [f"port={self.port}", f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # the kernel stops it when this process is gone, whatever became of this process
                ["setpriv", "--pdeathsig=INT", *_as_postgres(), _program("postgres"), "-D", self.data]
                + [word for option in options for word in ("-c", option)],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + DEADLINE
        ready = [_program("pg_isready"), "-q", "-h", self.folder, "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop as an operator does: sessions are cut off, nothing is lost."""
        assert self._process
        self._process.send_signal(signal.SIGINT)
        self._ended()

    def kill(self) -> None:
        """SIGKILL every process of the server at once, as if the machine had lost its power."""
        self.pause()  # else those whose postmaster is gone would end by themselves
        self._signal(signal.SIGKILL)
        self._ended()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP every process of the server: connections stay and nothing answers, not even to a new one."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop and delete everything. Nothing happens the second time."""
        atexit.unregister(self.remove)
        if self._process:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows of a statement that the superuser runs, outside of a transaction."""
        with self._superuser(database) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A database for the block, with two roles of its own."""
        made = self.create_database()
        try:
            yield made
        finally:
            self.drop_database(made)

    def create_database(self, template: Database | None = None) -> Database:
        """A fresh database with two roles of its own, or a copy of `template` with that one's roles."""
        name = f"log_{secrets.token_hex(4)}"
        if template:
            self._run("CREATE DATABASE {} TEMPLATE {} OWNER {}", name, template.name, template.owner)
            urls = [url.rpartition("/")[0] + f"/{name}" for url in (template.url, template.owner_url)]
            return Database(name, template.owner, template.role, *urls)
        urls = []
        for role in (f"{name}_app", f"{name}_owner"):
            password = secrets.token_hex(16)
            self._run("CREATE ROLE {} LOGIN PASSWORD {}", role, sql.Literal(password))
            urls.append(f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{name}")
        self._run("CREATE DATABASE {} OWNER {}", name, f"{name}_owner")
        return Database(name, f"{name}_owner", f"{name}_app", *urls)

    def drop_database(self, made: Database) -> None:
        """Drop a database; its roles too when no other has them."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", made.name)
        if made.role.startswith(made.name):
            self._run("DROP ROLE {}", made.role)
            self._run("DROP ROLE {}", made.owner)

    def _run(self, statement: str, *parts: str | sql.Literal) -> None:
        with self._superuser() as connection:
            named = [sql.Identifier(part) if isinstance(part, str) else part for part in parts]
            connection.execute(sql.SQL(statement).format(*named))

    def _superuser(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        where = {"host": str(self.folder), "port": self.port, "user": "postgres", "dbname": database}
        return psycopg.connect(**where, autocommit=True)  # type: ignore[arg-type]

    def _ended(self) -> None:
        assert self._process
        self._process.wait(DEADLINE)
        self._process = None

    def _signal(self, number: int) -> None:
        """To every process of the server: each has a session of its own. A stopped postmaster starts no more."""
        assert self._process
        pid = self._process.pid
        if number == signal.SIGSTOP:
            self._process.send_signal(number)
        for process in [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()), pid]:
            with suppress(ProcessLookupError):
                os.kill(process, number)


@cache
def server() -> Server:
    """The server of this test session, started at the first call and gone with the process."""
    return Server()


@cache
def _initialised() -> Path:
    """What initdb made, to be copied."""
    data = _owned_by_postgres(tempfile.mkdtemp(prefix="pushlog-initdb-")) / "data"
    atexit.register(shutil.rmtree, data.parent)
    made = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run(
        [*_run_as_postgres(), _program("initdb"), "-D", data, *made], check=True, stdout=subprocess.DEVNULL, cwd="/"
    )
    (data / "pg_hba.conf").write_text(HBA)
    return data


def _program(name: str) -> str:
    """The program of the newest PostgreSQL here: Debian has most of them off the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = str(debian[-1]) if debian else shutil.which(name)
    if not found:
        raise AssertionError(f"{name} is not here; script/bootstrap --tests installs PostgreSQL")
    return found


def _as_postgres() -> list[str]:
    """The options of setpriv by which root becomes postgres: PostgreSQL does not run as root."""
    return [] if os.geteuid() else ["--reuid=postgres", "--regid=postgres", "--init-groups"]


def _run_as_postgres() -> list[str]:
    return ["setpriv", *_as_postgres()] if _as_postgres() else []


def _owned_by_postgres(folder: str) -> Path:
    shutil.chown(folder, *(("postgres", "postgres") if os.geteuid() == 0 else (getpass.getuser(),)))
    return Path(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
