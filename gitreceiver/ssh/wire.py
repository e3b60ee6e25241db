"""Where AsyncSSH's callbacks and green threads meet: one SSH channel as the Wire beneath a Session.

eventlet's asyncio hub runs both on one thread. Callbacks run in the hub and never block; `read`, `write` and `exit`
are called by green threads and do. Input beyond INPUT_HIGH and output beyond the channel's window make the other
side wait, so memory stays flat however large a push is.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import asyncssh
import eventlet

from gitreceiver.session import Disconnected
from gitreceiver.ssh.green import Bell
from gitreceiver.ssh.keyboard import Keyboard
from services.errors import PushlogError

log = logging.getLogger("pushlog.ssh")
CHUNK = 64 * 1024
INPUT_HIGH, INPUT_LOW = 1 << 20, 1 << 18
INTERRUPTED = 130


class SshWire(asyncssh.SSHServerSession[bytes]):
    """One channel. `start(wire, line)` is called in a green thread for an exec request, with None for a shell.

    `key` is the fingerprint of whose it is. `refusal` is what it is answered with, whatever it asks for.
    """

    def __init__(
        self,
        start: "Callable[[SshWire, str | None], None]",
        closed: "Callable[[SshWire], None]",
        key: str,
        refusal: str = "",
    ) -> None:
        self.key, self.refusal = key, refusal
        self._start = start
        self._on_closed = closed
        self._chan: asyncssh.SSHServerChannel[bytes] | None = None
        self._line: str | None = None
        self._keyboard: Keyboard | None = None
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._held = self._eof = self._full = self._clogged = self._lost = False
        self._bell = Bell()

    # AsyncSSH's side: in the hub, never blocking.

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """See asyncssh.SSHServerSession."""
        self._chan = chan

    def pty_requested(self, term_type: str, term_size: object, term_modes: object) -> bool:
        """A terminal is noted, for colour and widths; no program ever gets one."""
        self._keyboard = Keyboard()
        return True

    def exec_requested(self, command: str) -> bool:
        """See asyncssh.SSHServerSession."""
        self._line = command
        return True

    def shell_requested(self) -> bool:
        """Accepted only to be answered with a sentence."""
        return True

    def session_started(self) -> None:
        """See asyncssh.SSHServerSession."""
        eventlet.spawn_n(self._run)

    def _run(self) -> None:
        try:
            self._start(self, self._line)
        except Exception as error:  # the log that its key is looked up in may not answer
            log.warning("ssh: a session did not begin: %s", error, exc_info=not isinstance(error, PushlogError))
            self.exit(1)

    def data_received(self, data: bytes, datatype: object) -> None:
        """See asyncssh.SSHServerSession."""
        if self._keyboard:
            data = self._type(self._keyboard, data)
        if not data:
            return
        self._chunks.append(data)
        self._waiting += len(data)
        if self._waiting > INPUT_HIGH and not self._held and self._chan:
            self._held = True
            self._chan.pause_reading()
        self._bell.ring()

    def eof_received(self) -> bool:
        """The client has sent all; the channel stays open for the answer."""
        self._eof = True
        self._bell.ring()
        return True

    def signal_received(self, signal: str) -> None:
        """Any signal that a client sends means: stop."""
        self._interrupt()

    def pause_writing(self) -> None:
        """See asyncssh.SSHServerSession."""
        self._full = True

    def resume_writing(self) -> None:
        """See asyncssh.SSHServerSession."""
        self._full = False
        self._bell.ring()

    def clog(self, full: bool) -> None:
        """The whole connection takes no more for now, however much this channel may send, or it does again."""
        self._clogged = full
        self._bell.ring()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncssh.SSHServerSession."""
        self._lost = True
        self._bell.ring()
        self._on_closed(self)

    def _type(self, keyboard: Keyboard, keys: bytes) -> bytes:
        lines, echo = keyboard.press(keys)
        if echo and self._chan and not (self._full or self._clogged) and not self._chan.is_closing():
            self._chan.write(echo)
        if keyboard.interrupted:
            self._interrupt()
        self._eof = self._eof or keyboard.ended
        if self._eof:
            self._bell.ring()
        return lines

    def dismiss(self, sentence: str) -> None:
        """End the session with a sentence, whatever its worker does."""
        if self._chan and not self._lost:
            with suppress(OSError):
                end = "\r\n" if self.tty else "\n"
                kind = None if self.tty else asyncssh.EXTENDED_DATA_STDERR
                self._chan.write(f" !     {sentence}{end}".encode(), kind)
                self._chan.exit(1)
        self._lost = True
        self._bell.ring()

    def _interrupt(self) -> None:
        """The person pressed Ctrl-C: to the worker it is as if they had hung up."""
        self._lost = True
        if self._chan:
            self._chan.exit(INTERRUPTED)
        self._bell.ring()

    # The worker's side: in green threads.

    @property
    def tty(self) -> bool:
        """Whether the client asked for a terminal."""
        return self._keyboard is not None

    @property
    def columns(self) -> int:
        """The terminal's width in characters."""
        return (self._chan.get_terminal_size()[0] if self._chan else 0) or 80

    @property
    def user(self) -> str:
        """The SSH user name."""
        return str(self._chan.get_extra_info("username")) if self._chan else ""

    @property
    def closed(self) -> bool:
        """See Wire."""
        return self._lost

    def read(self, limit: int, patience: float | None = None) -> bytes:
        """See Wire."""
        began = time.monotonic()
        while not self._chunks:
            if self._eof or self._lost:
                return b""
            rest = None if patience is None else began + patience - time.monotonic()
            if rest is not None and rest <= 0:
                raise TimeoutError
            self._bell.wait(rest)
        chunk = self._chunks.popleft()
        if len(chunk) > limit:
            self._chunks.appendleft(chunk[limit:])
            chunk = chunk[:limit]
        self._waiting -= len(chunk)
        if self._held and self._waiting < INPUT_LOW and self._chan and not self._lost:
            self._held = False
            self._chan.resume_reading()
        return chunk

    def write(self, data: bytes, *, error: bool) -> None:
        """See Wire."""
        if self.tty:
            data = data.replace(b"\n", b"\r\n")
        kind = asyncssh.EXTENDED_DATA_STDERR if error and not self.tty else None
        for at in range(0, len(data), CHUNK):
            while (self._full or self._clogged) and not self._lost:
                self._bell.wait()
            if self._lost or not self._chan:
                raise Disconnected("the client is gone")
            try:
                self._chan.write(data[at : at + CHUNK], kind)
            except OSError:
                raise Disconnected("the client is gone") from None
            eventlet.sleep(0)  # a client with a wide window would have us write on and on, and nobody else served

    def exit(self, code: int) -> None:
        """See Wire."""
        if self._chan and not self._lost:
            self._chan.exit(code)
