"""One command somebody sent: over SSH, or from the local `pushlog` command.

A `Session` is what the doors (`door.py`, `local.py`) hand to the service. It reads and writes bytes as blocking
calls; the door's `Wire` beneath it moves them. It knows neither nameko nor AsyncSSH.
"""

import contextlib
import shlex
from dataclasses import dataclass, field
from typing import Protocol

from services.errors import BadInput, PushlogError, Refused
from services.terminal import Filter, redrawn, visible

LINE_LIMIT = 8 * 1024
"""Bytes of a command line, as it came."""


class Disconnected(PushlogError):
    """The client is gone. What was recorded goes on without it."""


class Wire(Protocol):
    """The bytes beneath a Session. Calls block until they are done; `write` waits while the client is slow."""

    @property
    def closed(self) -> bool:
        """Whether the client is gone, or has its exit code."""

    def read(self, limit: int, patience: float | None = None) -> bytes:
        """At least 1 and at most `limit` bytes; empty once the client has sent all.

        Raises TimeoutError when none came for `patience` seconds.
        """

    def write(self, data: bytes, *, error: bool) -> None:
        """Send to the client's stdout, or stderr. Raises Disconnected when it is gone."""

    def exit(self, code: int) -> None:
        """End the session with this exit code; does nothing when the client is gone."""


@dataclass(slots=True)
class Session:
    """One command, who sent it from where, and its standard streams.

    `line` is the command as it came, `argv` its words. `user` is the SSH user name (any is accepted) or the local
    user's; `actor` is `local`, or a key's name and fingerprint; `origin` is `local`, or `ip:port`.
    `columns` is the terminal's width when `tty`; `passphrase` came beside the words. `piped`: stdout is known to be no
    terminal; SSH clients do not say what is at their end. `patience`: the seconds that input is waited for.
    """

    wire: Wire
    argv: list[str]
    line: str
    user: str
    actor: str
    origin: str
    tty: bool = False
    columns: int = 80
    passphrase: str | None = field(default=None, repr=False)
    piped: bool = False
    patience: float | None = None
    ended: bool = field(default=False, init=False)
    _out: Filter = field(default_factory=Filter, init=False, repr=False)
    _err: Filter = field(default_factory=Filter, init=False, repr=False)

    @property
    def closed(self) -> bool:
        """Whether nothing more can reach the client."""
        return self.ended or self.wire.closed

    def read(self, limit: int = 65536) -> bytes:
        """Up to `limit` bytes of the client's input, waiting for the first; empty at its end.

        A client that is waited for in vain has its session ended, unless `patience` changed meanwhile. Raises
        Disconnected then.
        """
        while True:
            patience = self.patience
            try:
                return self.wire.read(limit, patience)
            except TimeoutError:
                if patience == self.patience:
                    self.fail(Refused(f"input: no byte came for {patience:g} seconds; send it again"))
                    raise Disconnected("the client sent nothing") from None

    def read_all(self, limit: int) -> bytes:
        """The whole of the client's input. Raises BadInput when it is longer than `limit` bytes."""
        chunks, room = [], limit
        while chunk := self.read():
            room -= len(chunk)
            if room < 0:
                raise BadInput(f"stdin: longer than {limit} bytes; allowed are at most {limit}")
            chunks.append(chunk)
        return b"".join(chunks)

    def write(self, data: bytes) -> None:
        """Send to the client's stdout what a program reads, as it is. Raises Disconnected when the client is gone."""
        self._send(data, error=False)

    def show(self, data: bytes, *, exact: bool = False) -> None:
        """Send text to the client's stdout, harmless where that may be a terminal; see Context.write."""
        as_it_is = self.piped or (exact and not self.tty)
        for piece in [data] if as_it_is else self._out.pieces(data):
            self._send(piece, error=False)

    def write_err(self, data: bytes) -> None:
        """Send text to the client's stderr, harmless to a terminal. Raises Disconnected when the client is gone."""
        for piece in self._err.pieces(data):
            self._send(piece, error=True)

    def redraw(self, text: str) -> None:
        """Send a line to the client's terminal that replaces the one before."""
        self._send(redrawn(text), error=True)

    def exit(self, code: int) -> None:
        """End with this exit code; a second call does nothing."""
        if not self.ended:
            with contextlib.suppress(Disconnected):
                self._send(self._out.end(), error=False)
                self._send(self._err.end(), error=True)
            self.ended = True
            self.wire.exit(code)

    def fail(self, error: BaseException) -> None:
        """Tell the client of `error` (a PushlogError by its sentence, any other without details) and end."""
        known = isinstance(error, PushlogError)
        text = str(error) if known else "Something went wrong inside Pushlog; its log has the details."
        with contextlib.suppress(Disconnected):
            self.write_err("".join(f" !     {visible(line)}\n" for line in text.splitlines() or [""]).encode())
        self.exit(error.exit_code if isinstance(error, PushlogError) else 1)

    def _send(self, data: bytes, *, error: bool) -> None:
        if self.closed:
            raise Disconnected("the client is gone")
        if data:
            self.wire.write(data, error=error)


def split_line(line: str | bytes) -> list[str]:
    """The words of a command line, split as a POSIX shell would; no shell ever sees it.

    Raises BadInput for one that is empty, longer than LINE_LIMIT bytes, not UTF-8, or with a NUL or an open quote.
    """
    try:
        raw = line if isinstance(line, bytes) else line.encode()
        text = raw.decode()
    except UnicodeError:
        raise BadInput("command: not UTF-8; allowed is a line of UTF-8 text") from None
    if len(raw) > LINE_LIMIT:
        raise BadInput(f"command: {len(raw)} bytes long; allowed are at most {LINE_LIMIT}")
    if "\0" in text:
        raise BadInput("command: has a NUL byte; allowed is a line of text")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"command: {str(error).lower()}; close every quote") from None
    if not words:
        raise BadInput("command: empty; try `help`")
    return words


def check_words(words: list[str]) -> None:
    """Refuse words that no command line can hold. Raises BadInput for none, a NUL byte, or what is not UTF-8."""
    try:
        "".join(words).encode()
    except UnicodeError:
        raise BadInput("command: not UTF-8; allowed is UTF-8 text") from None
    if not words:
        raise BadInput("command: empty; try `help`")
    if any("\0" in word for word in words):
        raise BadInput("command: has a NUL byte; allowed is text")
