"""What a client may send before it has logged in, and how often it may exchange keys.

AsyncSSH asks its server about keys only. All that a client sends and is sent passes three methods of its connection:
`data_received` (bytes), `process_packet` (what the connection itself handles, such as key exchanges and login tries)
and `send_packet`. The guard stands before these, and reads packets as the RFCs 4252 and 4253 number them.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import asyncssh

from gitreceiver.ssh.limits import DoorLimits
from gitreceiver.ssh.pace import SLICE

KEXINIT, USERAUTH_REQUEST, USERAUTH_FAILURE, USERAUTH_PK_OK = 20, 50, 51, 60
LEFT = 1 << 20
"""Bytes that wait at most while a client rests."""
TOO_MUCH = "too much was sent before the login"
TOO_OFTEN = "too many logins from your address; try again in a few seconds"
TOO_SLOW = "no login began in time"
METHODS = ("publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", "gssapi-keyex")


class Watch(Protocol):
    """Who is told, and asked."""

    limits: DoorLimits

    def turn(self) -> float | None:
        """The seconds until a key exchange has its turn, or None."""

    def rest(self, size: int, took: float) -> float:
        """The seconds that this client rests after a read of `size` bytes that took so many."""

    def clogged(self, full: bool) -> None:
        """The client does not read what is sent to it as fast as that comes, or it does again."""

    def tried(self, method: str) -> None:
        """A login try with this method failed."""

    def ended(self, reason: str) -> None:
        """The guard ended the connection."""


class Guard:
    """Guards one connection of AsyncSSH from its first byte."""

    def __init__(self, conn: asyncssh.SSHServerConnection, watch: Watch) -> None:
        self._conn, self._watch, self._limits = conn, watch, watch.limits
        self._receive: Callable[..., None] = conn.data_received
        self._process: Callable[..., Any] = conn.process_packet
        self._send: Callable[..., None] = conn.send_packet
        self._left, self._resting = b"", False
        self._packets, self._bytes = self._limits.stranger_packets, self._limits.stranger_bytes
        self._tries, self._failures, self._open = 0, 0, ""
        self._logged_in = self._waiting = self._exchanged = self.over = False
        # AsyncSSH (2.24.1) does nothing then: findings/asyncssh-drain.sh
        conn.pause_writing = lambda: watch.clogged(True)  # type: ignore[method-assign]
        conn.resume_writing = lambda: watch.clogged(False)  # type: ignore[method-assign]
        conn.data_received = self._received  # type: ignore[method-assign]
        conn.process_packet = self._processed  # type: ignore[method-assign, assignment]
        conn.send_packet = self._sent  # type: ignore[method-assign, assignment]
        self._timer = asyncio.get_running_loop().call_later(self._limits.exchange_seconds, self.end, TOO_SLOW)

    def logged_in(self) -> None:
        """From now on only key exchanges are counted. TCP need not be hurried, and packets not be read, any more."""
        self._logged_in = True
        self._timer.cancel()
        del self._conn.send_packet

    def left(self) -> None:
        """The connection is gone."""
        self.over = True
        self._timer.cancel()

    def end(self, reason: str, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """Disconnect and say why."""
        if not self.over:
            self._conn.disconnect(code, self._over(code, reason).reason)

    def _over(self, code: int, reason: str) -> asyncssh.DisconnectError:
        """Note the end; returns what AsyncSSH, when raised, ends the connection by."""
        self.over = True
        self._watch.ended(reason)
        return asyncssh.DisconnectError(code, reason)

    def _received(self, data: bytes, datatype: int | None = None) -> None:
        """Take bytes in, and until the login have TCP acknowledge them at once.

        OpenSSH's client holds a message back until the one before is acknowledged, which Linux else puts off for 40 ms.
        """
        if self.over:
            return
        if not self._logged_in:
            connected = self._conn.get_extra_info("socket")
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # for now only: Linux forgets it
        if not self._logged_in or self._waiting:
            self._bytes -= len(data)
            if self._bytes < 0:
                self.end(TOO_MUCH)
                return
        self._left = self._left + data if self._left else data
        if len(self._left) > LEFT:
            self.end("more was sent than is read")
        elif not self._resting:
            self._take_in()

    def _take_in(self) -> None:
        """Hand on what came, a slice at a time; after a dear one nothing is read for a while."""
        data, self._left = b"" if self.over else self._left, b""
        for at in range(0, len(data), SLICE):
            began = time.thread_time()
            piece = data[at : at + SLICE]
            self._receive(piece)
            if self.over:
                return
            if seconds := self._watch.rest(len(piece), time.thread_time() - began):
                self._left = data[at + SLICE :]
                self._read(False)
                asyncio.get_running_loop().call_later(seconds, self._take_in)
                return
        if self._resting:
            self._read(True)

    def _read(self, reading: bool) -> None:
        """Let the transport read on, or not."""
        self._resting = not reading
        transport = getattr(self._conn, "_transport", None)  # without it what came waits here, and is bounded
        if transport and not transport.is_closing():
            (transport.resume_reading if reading else transport.pause_reading)()

    def _processed(self, kind: int, number: int, packet: Any) -> Any:
        if self.over:  # what came in the same breath is not looked at
            raise asyncssh.ConnectionLost("the guard ended this connection")
        self._spend()
        if kind == KEXINIT:
            return self._exchange(kind, number, packet)
        if kind == USERAUTH_REQUEST and not self._logged_in:
            self._timer.cancel()
            self._answered(failed=True)  # who asks again before the answer gives up what was asked before
            self._open = method(packet.get_full_payload())
            self._tries += 1
        return self._process(kind, number, packet)

    def _sent(self, kind: int, *args: bytes, **kwargs: Any) -> None:
        self._spend()
        if kind in (USERAUTH_FAILURE, USERAUTH_PK_OK):
            self._answered(failed=kind == USERAUTH_FAILURE)
        self._send(kind, *args, **kwargs)

    def _spend(self) -> None:
        """Count a packet of a stranger. Raises what ends the connection, in whose midst this may be."""
        self._packets -= not self._logged_in
        if self._packets < 0 and not self.over:
            raise self._over(asyncssh.DISC_PROTOCOL_ERROR, TOO_MUCH)

    def _answered(self, *, failed: bool) -> None:
        asked, self._open = self._open, ""
        if not asked or not failed or (asked == "none" and self._tries == 1):
            return
        self._failures += 1
        self._watch.tried(asked)
        if self._failures >= self._limits.tries:
            self.end("too many authentication failures", asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE)

    async def _exchange(self, kind: int, number: int, packet: Any) -> None:
        """Let a key exchange begin when it has its turn; before the login there is one."""
        if self._exchanged and not self._logged_in:
            raise self._over(asyncssh.DISC_PROTOCOL_ERROR, "a second key exchange before the login")
        self._exchanged = True
        seconds = self._watch.turn()
        if seconds is None:
            raise self._over(asyncssh.DISC_TOO_MANY_CONNECTIONS, TOO_OFTEN)
        if seconds:
            self._waiting, self._bytes = True, self._limits.stranger_bytes
            await asyncio.sleep(seconds)
            self._waiting = False
        if not self.over:
            result = self._process(kind, number, packet)
            if isinstance(result, Awaitable):
                await result


def method(request: bytes) -> str:
    """The method that a login try names: user, service and method follow the packet's number, each with its length."""
    at, name = 1, b""
    for _ in range(3):
        length = int.from_bytes(request[at : at + 4], "big")
        name = request[at + 4 : at + 4 + length]
        at += 4 + length
    text = name.decode("ascii", "replace")
    return text if text in ("none", *METHODS) else "an unknown method"
