"""The local door as a nameko entrypoint: the Unix socket that the local `pushlog` command speaks to.

The protocol is in services/wire.py. Only root and the user who runs Pushlog are let in; they act as `local`.
"""

import logging
import os
import queue
import shlex
import socket
import struct
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from gitreceiver.session import Disconnected, Session, check_words
from gitreceiver.ssh.door import STOP_SECONDS, F, Sessions
from services import wire
from services.errors import BadInput, PushlogError, Refused
from services.listening import accepted

log = logging.getLogger(__name__)
HELLO_SECONDS = 10.0
CLIENTS_AT_ONCE = 128
PATH_LIMIT = 107
"""Bytes that the path of a Unix socket may have."""
CREDENTIALS = struct.Struct("3i")


def socket_path(home: Path) -> Path:
    """Where the local door of the instance in `home` listens."""
    return home / "run" / "pushlog.sock"


class LocalWire:
    """One local client as the Wire beneath a Session. A reader thread notices when the client goes away."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._input: queue.Queue[bytes] = queue.Queue(maxsize=8)
        self._rest = b""
        self._ended = self._lost = self._over = False
        self._sending = threading.Lock()

    def receive(self) -> wire.Hello:
        """The client's first line; from then on its input is read by a thread. Raises BadFrame and OSError."""
        stream = self._socket.makefile("rb")
        late = threading.Timer(HELLO_SECONDS, self._hang_up)
        late.start()
        try:
            hello = wire.read_hello(stream)
        finally:
            late.cancel()
        threading.Thread(target=self._pump, args=(stream,), daemon=True).start()
        return hello

    def _hang_up(self) -> None:
        with suppress(OSError):  # it is gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def _pump(self, stream: Any) -> None:
        """Queue the client's input until it is gone; the empty chunk ends it."""
        try:
            while frame := wire.read_frame(stream):
                channel, data = frame
                if channel == wire.STDIN and not self._over:
                    self._input.put(data)
        except (wire.BadFrame, OSError) as error:
            log.info("local client: %s", error)
        finally:
            self._lost = True
            if not self._over:
                self._input.put(b"")
            stream.close()
            self._socket.close()

    @property
    def closed(self) -> bool:
        """See Wire."""
        return self._lost

    def read(self, limit: int, patience: float | None = None) -> bytes:
        """See Wire. A local client is waited for: it belongs to who runs Pushlog."""
        if not self._rest and not self._ended:
            self._rest = self._input.get()
            self._ended = not self._rest
        data, self._rest = self._rest[:limit], self._rest[limit:]
        return data

    def write(self, data: bytes, *, error: bool) -> None:
        """See Wire."""
        self._send(wire.STDERR if error else wire.STDOUT, data)

    def exit(self, code: int) -> None:
        """See Wire."""
        try:
            self._send(wire.EXIT, str(code).encode())
            self._socket.shutdown(socket.SHUT_WR)
        except (Disconnected, OSError) as error:
            log.debug("local client left before its exit code: %s", error)
        self._over = True
        while not self._input.empty():  # so that the reader is not left waiting for room
            self._input.get_nowait()

    def _send(self, channel: int, data: bytes) -> None:
        try:
            with self._sending:
                self._socket.sendall(wire.encode(channel, data))
        except OSError:
            self._lost = True
            raise Disconnected("the client is gone") from None


class Local(Sessions):
    """`@local`: a worker for each command that the local `pushlog` sends."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._listener: socket.socket | None = None
        self._acceptor: Any = None
        self._clients = 0

    def start(self) -> None:
        """Listen on the home's socket. Raises BadInput when its path is too long for one."""
        path = socket_path(self.ports.settings.home)
        if len(os.fsencode(path)) > PATH_LIMIT:
            raise BadInput(f"PUSHLOG_HOME: {path} is too long for a socket; allowed are at most {PATH_LIMIT} bytes")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        path.unlink(missing_ok=True)  # whoever holds the home's lock owns it; a socket that is there is a dead one
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(64)
        self._acceptor = self.container.spawn_managed_thread(partial(self._accept, self._listener), "local door")

    def stop(self) -> None:
        """Close the socket and let running sessions end for a moment."""
        self.kill()
        self.let_finish(STOP_SECONDS)

    def kill(self) -> None:
        """Close the socket."""
        if self._listener:
            self._acceptor.kill()
            socket_path(self.ports.settings.home).unlink(missing_ok=True)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        for connection, _ in accepted(listener, "local door"):
            self.container.spawn_managed_thread(partial(self._serve, connection), "local client")

    def _serve(self, connection: socket.socket) -> None:
        """Run one client's command. What fails here is that client's, whatever it is."""
        channel = LocalWire(connection)
        self._clients += 1
        try:
            hello = channel.receive()
            self._admit(connection)
            check_words(hello.argv)
            line, who = shlex.join(hello.argv), (hello.user, "local", "local")
            self.work(
                Session(channel, hello.argv, line, *who, hello.tty, hello.columns, hello.passphrase, not hello.tty)
            )
        except PushlogError as error:
            Session(channel, [], "", "", "local", "local").fail(error)
        except (wire.BadFrame, OSError) as error:
            log.info("local client refused: %s", error)
            connection.close()
        except Exception:
            log.exception("local client failed")
            connection.close()
        finally:
            self._clients -= 1

    def _admit(self, connection: socket.socket) -> None:
        """Raises Refused for a client that may not enter, or not now."""
        if peer_uid(connection) not in (0, os.geteuid()):
            raise Refused("Only root and the user who runs Pushlog may use the local command; use ssh.")
        if max(self._clients, len(self.working)) > CLIENTS_AT_ONCE:
            raise Refused(f"{CLIENTS_AT_ONCE} local commands run already; wait for one to end.")


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(raw)[1])


def local(method: F) -> F:
    """Declare a method as what answers a local session."""
    declared: F = Local.decorator(method)
    return declared
