"""A git client that stops where it is told to, in the words of git's protocol."""

import asyncio
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncssh

from tests.e2e.harness import Checkout, Instance, wait_for

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST at once."""


def quarantines(instance: Instance) -> list[Path]:
    """Where packs wait to be judged."""
    return list(instance.home.glob("repositories/*.git/incoming/*"))


def changes(instance: Instance) -> set[tuple[Path, int]]:
    """When a quarantine last came or went, by repository: also what has come and gone can be told from that."""
    return {(folder, folder.stat().st_mtime_ns) for folder in instance.home.glob("repositories/*.git/incoming")}


def pack_of(source: Checkout, commit: str, old: str | None) -> bytes:
    """The pack of what `commit` has and `old` has not."""
    packing = ["git", "pack-objects", "--stdout", "--revs", "-q"]
    wanted = f"{commit}\n^{old}\n" if old else f"{commit}\n"
    done = subprocess.run(packing, input=wanted.encode(), cwd=source.path, capture_output=True, check=True)
    return done.stdout


def first_line(old: str | None, new: str) -> bytes:
    """The command that a client sends before its pack."""
    line = f"{old or '0' * 40} {new} refs/heads/main\0 report-status side-band-64k".encode()
    return f"{len(line) + 4:04x}".encode() + line + b"0000"


class Client:
    """A push of `pack` to `app`, whose command is `command`."""

    def __init__(self, instance: Instance, app: str, command: bytes, pack: bytes) -> None:
        self._instance, self._app = instance, app
        self._command, self._pack = command, pack

    async def _logged_in(self) -> asyncssh.SSHClientConnection:
        options = {"username": "x", "known_hosts": None, "config": None, "client_keys": [str(self._instance.key)]}
        return await asyncssh.connect("127.0.0.1", self._instance.ssh_port, **options)

    async def die(self, sends: bytes | None) -> None:
        """Log in, read what refs there are, send some bytes, and reset the connection; with None only log in.

        A pack that began has got to the platform by then: it waits to be judged, or was judged already.
        """
        before = changes(self._instance)
        connection = await self._logged_in()
        try:
            if sends is not None:
                process = await connection.create_process(f"git-receive-pack '/{self._app}'", encoding=None)
                while not (await process.stdout.read(65536)).endswith(b"0000"):
                    pass
                process.stdin.write(sends)
                await process.stdin.drain()
                if len(sends) > len(self._command):
                    await asyncio.to_thread(wait_for, lambda: changes(self._instance) - before, "the quarantine")
        finally:
            connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.abort()
            await connection.wait_closed()

    async def pause_in_pack(self, do: Callable[[], None]) -> bytes:
        """Push, and `do` something when half of the pack is sent; returns all that was answered."""
        connection = await self._logged_in()
        try:
            process = await connection.create_process(f"git-receive-pack '/{self._app}'", encoding=None)
            while not (await process.stdout.read(65536)).endswith(b"0000"):
                pass
            half = len(self._pack) // 2
            process.stdin.write(self._command + self._pack[:half])
            await process.stdin.drain()
            await asyncio.to_thread(wait_for, lambda: quarantines(self._instance), "the quarantine")
            await asyncio.to_thread(do)
            process.stdin.write(self._pack[half:])
            process.stdin.write_eof()
            return await process.stdout.read()
        finally:
            connection.abort()
            await connection.wait_closed()
