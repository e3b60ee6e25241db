"""A gitreceiver of its own for the door's tests: the real doors and protocol, a stand-in for the platform's decisions.

Run as a process: `python door_harness.py HOME SSH_PORT`. It prints `ready` once it listens. Its authorized keys are
the lines `<name> <public key>` of HOME/authorized, read at each login.
"""

# ruff: noqa: E402 - eventlet patches the standard library before anything else is imported
import os
import sys

os.environ["EVENTLET_HUB"] = "asyncio"
os.environ["EVENTLET_NO_GREENDNS"] = "yes"

import eventlet

eventlet.monkey_patch()

import json
import logging
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncssh
from eventlet.hubs import get_hub
from nameko.containers import ServiceContainer
from nameko.extensions import DependencyProvider

from gitreceiver import local as local_door
from gitreceiver.git.checking import tar
from gitreceiver.git.command import parse_git_command
from gitreceiver.git.measure import Limits
from gitreceiver.git.quarantine import Quarantine, clean_quarantines
from gitreceiver.git.receive_pack import Progress, RefCommand, receive_pack
from gitreceiver.git.repository import repository
from gitreceiver.git.upload_pack import upload_pack
from gitreceiver.local import local
from gitreceiver.removals import Removals
from gitreceiver.session import Disconnected, Session
from gitreceiver.ssh.door import door
from gitreceiver.ssh.limits import DoorLimits
from services import ownlog
from services.settings import Settings


@dataclass
class Ports:
    settings: Settings
    limits: DoorLimits
    removals: Removals

    def authorized_key(self, fingerprint: str, public_key: str) -> str | None:
        for line in (self.settings.home / "authorized").read_text().splitlines():
            name, _, key = line.partition(" ")
            if asyncssh.import_public_key(key).get_fingerprint() == fingerprint:
                return name
        return None


def whoami(session: Session) -> int:
    told = {name: getattr(session, name) for name in ("argv", "line", "user", "actor", "origin", "tty", "columns")}
    session.write(json.dumps(told).encode() + b"\n")
    return 0


def count(session: Session) -> int:
    total = 0
    while chunk := session.read(1 << 20):
        total += len(chunk)
    session.write(f"{total}\n".encode())
    return 0


def flood(session: Session) -> int:
    for _ in range(int(session.argv[1])):
        session.write(b"x" * (1 << 20))
    return 0


def linger(session: Session) -> int:
    """Wait for the client to leave, then leave a file, as a worker that goes on would."""
    session.write(b"here\n")
    while not session.closed:
        time.sleep(0.01)
    try:
        session.write(b"anyone?")
    except Disconnected:
        Path(session.argv[1]).write_text("went on")
    return 0


def upper(session: Session) -> int:
    while chunk := session.read():
        session.write(chunk.upper())
    session.write_err(b"done\n")
    return 3


def memory(session: Session) -> int:
    status = Path("/proc/self/status").read_text()
    session.write(status.split("VmRSS:")[1].split()[0].encode() + b"\n")
    return 0


def broken(session: Session) -> int:
    raise RuntimeError("a secret detail")


class Refs:
    """Each app's refs and head: what the log would fold to."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, str]] = {}
        self.head: dict[str, str] = {}


REFS = Refs()
APP_IDS = uuid.UUID("00000000-0000-4000-8000-000000000000")


def git(session: Session, settings: Settings, verb: str, app: str) -> None:
    """Serve git. What a push's `decide` does is read from HOME/decide: refuse, slow, hold, print, else accept."""
    repo = repository(settings.home, str(uuid.uuid5(APP_IDS, app)))
    refs = REFS.of.setdefault(app, {})
    if verb == "git-upload-pack":
        upload_pack(session, repo, refs=refs, head=REFS.head.get(app))
    else:
        receive_pack(session, repo, refs=refs, settings=settings, decide=partial(decide, settings, app))


def decide(
    settings: Settings, app: str, commands: list[RefCommand], quarantine: Quarantine, progress: Progress
) -> dict[str, str | None]:
    told = settings.home / "decide"
    mode = told.read_text() if told.exists() else ""
    progress(b"-----> Deciding\n")
    if mode == "refuse":
        return {command.ref: "pre-receive hook declined" for command in commands}
    if mode == "hold":
        while (settings.home / "decide").read_text() == "hold":
            time.sleep(0.02)
            progress(b"       waiting\n")
    if mode == "print":
        progress("       long{}\n       red \x1b[31m€{}\x1b]0;t\x07".format("x" * 40_000, "é" * 5_000).encode())
    if mode == "slow":
        time.sleep(6)
    for command in commands:
        if command.new is None:
            REFS.of[app].pop(command.ref, None)
            continue
        quarantine.keep(str(uuid.uuid4()), command.new)
        if command.ref.startswith("refs/heads/"):
            with (settings.home / "tree.tar").open("wb") as sink:
                tar(quarantine.repository, command.new, sink, settings.home, Limits.of(settings))
            for path in quarantine.found[command.ref].submodules:
                progress(f"submodule {path} is left out\n".encode())
        REFS.of[app][command.ref] = command.new
        REFS.head.setdefault(app, command.ref)
    return dict.fromkeys(command.ref for command in commands)


COMMANDS: dict[str, Callable[[Session], int]] = {
    f.__name__: f for f in (whoami, count, flood, linger, upper, memory, broken)
}


class PortsOf(DependencyProvider):
    def setup(self) -> None:
        self.value: Ports = self.container.config["harness"]

    def get_dependency(self, worker: object) -> Ports:
        return self.value


class Harness:
    name = "gitreceiver"
    ports = PortsOf()

    @door
    @local
    def session(self, session: Session) -> int:
        if session.argv[0] == "remove":
            return self.remove(session.argv[1])
        wanted = parse_git_command(session.argv)
        if wanted:
            session.patience = self.ports.limits.input_seconds
            return git(session, self.ports.settings, *wanted)
        command = COMMANDS.get(session.argv[0])
        if command is None:
            session.write_err(b" !     no such command\n")
            return 1
        return command(session)

    def remove(self, name: str) -> int:
        """Remove the key called `name`, as the log's reader tells of it."""
        authorized = self.ports.settings.home / "authorized"
        lines = authorized.read_text().splitlines(keepends=True)
        authorized.write_text("".join(line for line in lines if line.split()[0] != name))
        for line in lines:
            if line.split()[0] == name:
                key = asyncssh.import_public_key(line.partition(" ")[2])
                self.ports.removals.removed(key.get_fingerprint())
        return 0


def main() -> None:
    ownlog.listening()
    logging.getLogger().setLevel(logging.INFO)
    home = Path(sys.argv[1])
    given = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    limits = DoorLimits(**given.pop("door", {}))
    settings = Settings(home=home, ssh_port=int(sys.argv[2]), ssh_bind="127.0.0.1", **given)
    clean_quarantines(home)
    local_door.HELLO_SECONDS = 3.0
    container = ServiceContainer(Harness, {"harness": Ports(settings, limits, Removals()), "max_workers": 300})
    container.start()
    get_hub().loop.add_signal_handler(signal.SIGTERM, eventlet.spawn_n, container.stop)
    print("ready", flush=True)
    container.wait()


main()
