"""The local `pushlog` command: a thin client of the platform's Unix socket.

It starts with next to no imports, sends the command line, carries the standard streams, and ends with the command's
exit code. The commands of PLATFORM are about the platform itself and need none that runs.
"""

import contextlib
import os
import pwd
import signal
import socket
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from cli import calls
from services import wire
from services.terminal import visible

PLATFORM = ("up", "down", "status", "service", "prepare", "install-service", "uninstall-service")
CHUNK = 64 * 1024
EVERY = 0.2
INTERRUPTED = 130
CUT_OFF = 141
TERMINATED = 143


class Unwritten(Exception):
    """What there is to be written cannot be: a full disk."""


class ReaderGone(Exception):
    """Whoever read our output has enough."""


def main(argv: list[str] | None = None) -> int:
    """Run `argv` (the process's own, if None); returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv and argv[0] in PLATFORM:
            from services.runner import main as platform_main

            return platform_main(argv)
        return _command(argv)
    except KeyboardInterrupt:
        return INTERRUPTED
    except ReaderGone:
        return CUT_OFF


def home() -> Path:
    """The instance's home: PUSHLOG_HOME, or the default of services/settings.py, which takes longer to import."""
    named = os.environ.get("PUSHLOG_HOME")
    if named:
        return Path(named)
    return Path("/var/lib/pushlog") if os.geteuid() == 0 else Path.home() / ".local/share/pushlog"


def _command(argv: list[str]) -> int:
    try:
        call = calls.taken(argv)
    except calls.Unfit as error:
        return _complain(str(error))
    try:
        if call.file:  # so that what was written of it goes
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
        code = _run(call)
        if code == 0:
            call.keep()
    except calls.Unfit as error:
        code = _complain(str(error))
    except Unwritten as error:
        code = _complain(f"{call.file or 'stdout'}: cannot be written ({error})")
    except OSError as error:
        code = _complain(f"{error.filename or home()}: {error.strerror or error}")
    finally:
        call.clean()
    return code


def _run(call: calls.Call) -> int:
    hello = wire.hello_line(wire.Hello(call.argv, _user(), os.isatty(call.output), _columns(), call.passphrase))
    if len(hello) > wire.MAX_HELLO:
        return _complain(f"command: {len(hello)} bytes long; allowed are at most {wire.MAX_HELLO}")
    path = home() / "run" / "pushlog.sock"
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return _without_instance(call)
        except OSError as error:
            return _complain(f"The instance at {home()} cannot be reached: {error.strerror or error}")
        try:
            return _talk(connection, hello, call)
        except (ConnectionError, wire.BadFrame) as error:
            return _complain(f"The connection to the platform broke off ({error}); see: pushlog status")


def _talk(connection: socket.socket, hello: bytes, call: calls.Call) -> int:
    own = 0 if call.input is None and calls.reads_stdin(call.argv) else call.input
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has answered already, as is read below
        connection.sendall(hello + (wire.encode(wire.STDIN, b"") if own is None else b""))
    if own is not None:
        threading.Thread(target=_send, args=(connection, own), daemon=True).start()
    line = Line(call.file is not None and os.isatty(2))
    with connection.makefile("rb") as stream:
        while frame := wire.read_frame(stream):
            channel, data = frame
            if channel == wire.EXIT:
                line.clear()
                return int(data)
            if channel == wire.STDERR:
                line.clear()
                _write(2, data)
            else:
                _write(call.output, data)
                line.add(len(data))
    return _complain("The platform ended before the command did; see: pushlog status")


@dataclass
class Line:
    """How much was written to a file, in one line on a terminal, if it is wanted."""

    wanted: bool
    written: int = 0
    last: float = field(default_factory=monotonic)
    shown: bool = False

    def add(self, count: int) -> None:
        """So many bytes more were written."""
        self.written += count
        if self.wanted and monotonic() - self.last >= EVERY:
            self.last, self.shown = monotonic(), True
            _write(2, f"\r       {self.written / (1 << 20):,.1f} MiB written\x1b[K".encode())

    def clear(self) -> None:
        """Leave the line to what comes."""
        if self.shown:
            self.shown = False
            _write(2, b"\r\x1b[K")


def _send(connection: socket.socket, descriptor: int) -> None:
    try:
        while data := os.read(descriptor, CHUNK):
            connection.sendall(wire.encode(wire.STDIN, data))
        connection.sendall(wire.encode(wire.STDIN, b""))
    except OSError:  # the command is over, or there is no input: the main thread ends with the exit code
        return


def _without_instance(call: calls.Call) -> int:
    from cli.alone import answer

    code = answer(call.argv)
    if code is None:
        from services.runner import Streams, offline

        name = call.argv[calls.name_at(call.argv) :][:1]
        code = offline(name, call.argv, Streams(call.input or 0, call.output, call.passphrase))
    if code is None:
        return _complain(f"No Pushlog instance runs at {home()}; start it with: pushlog up --detach")
    return code


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _columns() -> int:
    try:
        return os.get_terminal_size(1).columns or 80  # some terminals do not know
    except OSError:
        return 80


def _write(descriptor: int, data: bytes) -> None:
    """All of `data`, at once: buffered output would be lost or complain when a pipe's reader has left."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        raise Unwritten(error.strerror) from None


def _complain(sentence: str) -> int:
    _write(2, f" !     {visible(sentence)}\n".encode())
    return 1


if __name__ == "__main__":
    sys.exit(main())
