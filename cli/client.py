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
from dataclasses import dataclass, field
from pathlib import Path

from services import wire

PLATFORM = ("up", "down", "status", "service", "prepare", "install-service", "uninstall-service")
READS_STDIN = ("apps:destroy", "apps:delete", "delete", "ssh-keys:add", "log:rekey", "backup:import", "backup:verify")
"""The commands whose input is sent. Others leave it alone, so that they can stand in a loop that reads a file."""
READS_FILE = {"ssh-keys:add": 1, "backup:import": 0, "backup:verify": 0}
"""Take a file's path here, behind so many words; its content is sent as the input."""
WRITES_FILE = {"backup:export": 0}
"""Take a file's path here; the output goes there, once it is whole."""
PASSPHRASE = "--passphrase-file"  # noqa: S105
VALUED = (PASSPHRASE, "--until", "--format")
"""The flags of these commands that a value follows."""
PASSPHRASE_LIMIT = 4096
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


class Unfit(Exception):
    """A word that names a file which cannot be used here; the sentence says why."""


@dataclass
class Call:
    """A command line without what is for this side alone: where input comes from, where output goes, a passphrase."""

    argv: list[str]
    input: int | None = None
    output: int = 1
    file: Path | None = None
    passphrase: str | None = field(default=None, repr=False)


def _command(argv: list[str]) -> int:
    try:
        call = _taken(argv)
    except Unfit as error:
        return _complain(str(error))
    code = 1
    try:
        code = _run(call)
        if code == 0 and call.file:
            os.fsync(call.output)
    except OSError as error:
        code = _complain(f"file: {call.file} cannot be written ({error.strerror or error})")
    finally:
        if call.file:
            part = _part(call.file)
            part.replace(call.file) if code == 0 else part.unlink(missing_ok=True)
    return code


def _run(call: Call) -> int:
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


def _talk(connection: socket.socket, hello: bytes, call: Call) -> int:
    own = 0 if call.input is None and _reads_stdin(call.argv) else call.input
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has answered already, as is read below
        connection.sendall(hello + (wire.encode(wire.STDIN, b"") if own is None else b""))
    if own is not None:
        threading.Thread(target=_send, args=(connection, own), daemon=True).start()
    with connection.makefile("rb") as stream:
        while frame := wire.read_frame(stream):
            channel, data = frame
            if channel == wire.EXIT:
                return int(data)
            _write(2 if channel == wire.STDERR else call.output, data)
    return _complain("The platform ended before the command did; see: pushlog status")


def _send(connection: socket.socket, descriptor: int) -> None:
    try:
        while data := os.read(descriptor, CHUNK):
            connection.sendall(wire.encode(wire.STDIN, data))
        connection.sendall(wire.encode(wire.STDIN, b""))
    except OSError:  # the command is over, or there is no input: the main thread ends with the exit code
        return


def _without_instance(call: Call) -> int:
    from cli.alone import answer

    code = answer(call.argv)
    if code is None:
        from services.runner import Streams, offline

        name = call.argv[_name_at(call.argv) :][:1]
        code = offline(name, call.argv, Streams(call.input or 0, call.output, call.passphrase))
    if code is None:
        return _complain(f"No Pushlog instance runs at {home()}; start it with: pushlog up --detach")
    return code


def _taken(argv: list[str]) -> Call:
    """The call that a command line is, with its files opened. Raises Unfit."""
    at = _name_at(argv)
    name = argv[at] if at < len(argv) else ""
    if name not in READS_FILE and name not in WRITES_FILE:
        return Call(argv)
    passphrase, argv = _passphrase(argv, at)
    values = {n + 1 for n in range(at + 1, len(argv)) if argv[n] in VALUED}
    words = [n for n in range(at + 1, len(argv)) if not argv[n].startswith("-") and n not in values]
    behind = {**READS_FILE, **WRITES_FILE}[name]
    if len(words) != behind + 1:
        return Call(argv, passphrase=passphrase)
    path, rest = argv[words[-1]], argv[: words[-1]] + argv[words[-1] + 1 :]
    try:
        if name in READS_FILE:
            return Call(rest, os.open(path, os.O_RDONLY), passphrase=passphrase)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        return Call(rest, None, os.open(_part(Path(path)), flags, 0o600), Path(path), passphrase)
    except OSError as error:
        does = "read" if name in READS_FILE else "written"
        raise Unfit(f"path: {path} cannot be {does} ({error.strerror}); allowed is a file") from None


def _passphrase(argv: list[str], at: int) -> tuple[str | None, list[str]]:
    """The first line of the file that `--passphrase-file` names, and the command line without that. Raises Unfit."""
    for n in range(at + 1, len(argv)):
        flag, equals, path = argv[n].partition("=")
        if flag != PASSPHRASE:
            continue
        path = path if equals else "".join(argv[n + 1 : n + 2])
        try:
            with open(path, encoding="utf-8") as file:
                words = file.read(PASSPHRASE_LIMIT + 1).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Unfit(f"{PASSPHRASE}: {path} cannot be read ({error}); allowed is a text file") from None
        if not words or len(words) > PASSPHRASE_LIMIT or "\n" in words:
            raise Unfit(f"{PASSPHRASE}: {path} holds no passphrase; allowed is one line of up to {PASSPHRASE_LIMIT}")
        return words, argv[:n] + argv[n + (1 if equals else 2) :]
    return None, argv


def _part(path: Path) -> Path:
    """Where a file is written before it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _name_at(argv: list[str]) -> int:
    """Where the command's name stands: behind the global flags."""
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        at += 2 if argv[at] == "--app" else 1
    return at


def _reads_stdin(argv: list[str]) -> bool:
    return argv[_name_at(argv) :][:1] != [] and argv[_name_at(argv)] in READS_STDIN and "--force" not in argv


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
