"""Strangers and users at the SSH door."""

import asyncio
import os
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import asyncssh

from tests.attacks.neighbour import Neighbour
from tests.attacks.places import Place
from tests.e2e.harness import Instance

CONNECTIONS = 200
EXCHANGES = 5000
HELD = 60
SESSIONS = 150


@contextmanager
def silent_logins(instance: Instance, at: Place) -> Iterator[list[socket.socket]]:
    """Connections that never say a word; those that the door ends stay ended."""
    with ExitStack() as opened:
        yield [opened.enter_context(at.connect(instance.ssh_port)) for _ in range(CONNECTIONS)]


@contextmanager
def key_exchanges(instance: Instance, at: Place) -> Iterator[None]:
    """Key exchanges as fast as one client can ask for them: each asks by the same bytes and does no work for it."""
    over = threading.Event()
    asked = b"SSH-2.0-flood\r\n" + packet(kexinit()) + packet(b"\x1e" + string(b"\x09" + bytes(31)))

    def flood() -> None:
        held: deque[socket.socket] = deque()
        for _ in range(EXCHANGES):
            if over.is_set():
                break
            with suppress(OSError):  # refused, or ended meanwhile
                held.append(at.connect(instance.ssh_port))
                held[-1].sendall(asked)
            if len(held) > HELD:
                held.popleft().close()
        for connection in held:
            connection.close()

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def idle_sessions(instance: Instance, user: Neighbour) -> Iterator[list[str]]:
    """Sessions of one key that follow the log for ever; gives what those are told that are refused."""
    told: list[str] = []
    ready, over = threading.Event(), threading.Event()

    async def hold() -> None:
        async with ConnectionsOf(instance, user) as connections:
            for number in range(SESSIONS):
                with suppress(asyncssh.Error, OSError):
                    process = await connections[number % len(connections)].create_process("events -t")
                    with suppress(TimeoutError):
                        told.append(await asyncio.wait_for(process.stderr.readline(), 0.02))
            ready.set()
            await asyncio.to_thread(over.wait)

    def run() -> None:
        try:
            asyncio.run(hold())
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        ready.wait(30)
        yield told
    finally:
        over.set()
        thread.join()


class ConnectionsOf:
    """Some connections of a user, from their place."""

    def __init__(self, instance: Instance, user: Neighbour, number: int = 8) -> None:
        self._instance, self._user, self._number = instance, user, number
        self._open: list[asyncssh.SSHClientConnection] = []

    async def __aenter__(self) -> list[asyncssh.SSHClientConnection]:
        options = {"username": "x", "known_hosts": None, "config": None, "client_keys": [str(self._user.key)]}
        for _ in range(self._number):
            sock = self._user.place.connect(self._instance.ssh_port)
            sock.setblocking(False)
            self._open.append(await asyncssh.connect("", sock=sock, **options))
        return self._open

    async def __aexit__(self, *_: object) -> None:
        for connection in self._open:
            connection.abort()


def kexinit() -> bytes:
    """The packet by which a client names its algorithms (RFC 4253)."""
    ciphers, macs, none, languages = b"aes128-ctr", b"hmac-sha2-256", b"none", b""
    lists = (b"curve25519-sha256", b"ssh-ed25519", ciphers, ciphers, macs, macs, none, none, languages, languages)
    return b"\x14" + os.urandom(16) + b"".join(map(string, lists)) + bytes(5)


def packet(payload: bytes) -> bytes:
    """A packet before there are keys."""
    padding = 8 - (len(payload) + 5) % 8 + (8 if 8 - (len(payload) + 5) % 8 < 4 else 0)
    return (len(payload) + 1 + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


def string(value: bytes) -> bytes:
    """A string of the SSH protocol."""
    return len(value).to_bytes(4, "big") + value
