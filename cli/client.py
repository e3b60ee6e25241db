"""The local `pushlog` command: a thin client of the platform's Unix socket.

It starts with next to no imports, sends the command line, carries the standard streams, and ends with the command's
exit code. The commands of PLATFORM are about the platform itself and need none that runs.
"""

import contextlib
import os
import pwd
import socket
import sys
import threading
from pathlib import Path

from services import wire

PLATFORM = ("up", "down", "status", "service", "prepare", "install-service", "uninstall-service")
READS_STDIN = ("apps:destroy", "apps:delete", "delete", "ssh-keys:add")
"""The commands whose input is sent. Others leave it alone, so that they can stand in a loop that reads a file."""
READS_FILE = "ssh-keys:add"
"""Takes a file's path here, after the key's name; its content is sent as the input."""
FILE_LIMIT = 64 * 1024
CHUNK = 64 * 1024
INTERRUPTED = 130
CUT_OFF = 141


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
        argv, file = _take_file(argv)
    except OSError as error:
        return _complain(f"path: {error.filename} cannot be read ({error.strerror}); allowed is a public key's file")
    hello = wire.hello_line(wire.Hello(argv, _user(), os.isatty(1), _columns()))
    if len(hello) > wire.MAX_HELLO:
        return _complain(f"command: {len(hello)} bytes long; allowed are at most {wire.MAX_HELLO}")
    path = home() / "run" / "pushlog.sock"
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return _without_instance(argv, file)
        except OSError as error:
            return _complain(f"The instance at {home()} cannot be reached: {error.strerror or error}")
        try:
            return _talk(connection, hello, argv, file)
        except (ConnectionError, wire.BadFrame) as error:
            return _complain(f"The connection to the platform broke off ({error}); see: pushlog status")


def _talk(connection: socket.socket, hello: bytes, argv: list[str], file: bytes | None) -> int:
    own = file is None and _reads_stdin(argv)
    given = b"" if own else (wire.encode(wire.STDIN, file) if file else b"") + wire.encode(wire.STDIN, b"")
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has answered already, as is read below
        connection.sendall(hello + given)
    if own:
        threading.Thread(target=_send_stdin, args=(connection,), daemon=True).start()
    with connection.makefile("rb") as stream:
        while frame := wire.read_frame(stream):
            channel, data = frame
            if channel == wire.EXIT:
                return int(data)
            _write(2 if channel == wire.STDERR else 1, data)
    return _complain("The platform ended before the command did; see: pushlog status")


def _send_stdin(connection: socket.socket) -> None:
    try:
        while data := os.read(0, CHUNK):
            connection.sendall(wire.encode(wire.STDIN, data))
        connection.sendall(wire.encode(wire.STDIN, b""))
    except OSError:  # the command is over, or there is no input: the main thread ends with the exit code
        return


def _without_instance(argv: list[str], file: bytes | None) -> int:
    from cli.alone import answer

    code = answer(argv)
    if code is None:
        from services.runner import offline

        code = offline(argv, lambda: _all_input() if file is None else file)
    if code is None:
        return _complain(f"No Pushlog instance runs at {home()}; start it with: pushlog up --detach")
    return code


def _take_file(argv: list[str]) -> tuple[list[str], bytes | None]:
    """The command line without a file's path, and that file's content."""
    at = _name_at(argv)
    words = [n for n in range(at + 1, len(argv)) if not argv[n].startswith("-")]
    if argv[at : at + 1] != [READS_FILE] or len(words) != 2:
        return argv, None
    with open(argv[words[1]], "rb") as file:
        return argv[: words[1]] + argv[words[1] + 1 :], file.read(FILE_LIMIT)


def _name_at(argv: list[str]) -> int:
    """Where the command's name stands: behind the global flags."""
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        at += 2 if argv[at] == "--app" else 1
    return at


def _reads_stdin(argv: list[str]) -> bool:
    return argv[_name_at(argv) :][:1] != [] and argv[_name_at(argv)] in READS_STDIN and "--force" not in argv


def _all_input() -> bytes:
    return sys.stdin.buffer.read(FILE_LIMIT)


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


def _complain(sentence: str) -> int:
    _write(2, f" !     {sentence}\n".encode(errors="backslashreplace"))
    return 1


if __name__ == "__main__":
    sys.exit(main())
