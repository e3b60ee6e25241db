"""The front: nginx's stream module takes the connections and counts them, before any byte of a request was read.

Its http module counts a request only when all headers are there. So the front is what limits the half-sent requests and
idle connections of one address. It passes each connection on to the http module at a Unix socket.
"""

import os
import re
import subprocess
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from time import monotonic

from router.probe import connected

SOCKET = "run/http.sock"
COMMENT = re.compile(r"#.*")
SERVER = re.compile(r"(^|[\s;}])(server\s*\{|include\s)")


def stream_module(program: str) -> str | None:
    """What nginx loads to have the stream module: a path, or nothing where it is built in; None where it is missing."""
    arguments = _build(program)
    if arguments.get("--with-stream") == "":
        return ""
    path = Path(arguments.get("--modules-path", "")) / "ngx_stream_module.so"
    return str(path) if arguments.get("--with-stream") == "dynamic" and path.is_absolute() and path.exists() else None


def is_free(conf: Path) -> bool:
    """Whether the operator's files in `conf` have no server of their own, which may listen where the front would."""
    try:
        return not any(SERVER.search(COMMENT.sub("", file.read_text())) for file in conf.glob("*.conf"))
    except (OSError, UnicodeDecodeError):
        return False


def prepare(folder: Path, group: int | None) -> None:
    """Make the socket's folder below nginx's `folder`, for nobody but the owner and the workers' `group`."""
    run = (folder / SOCKET).parent
    run.mkdir(mode=0o700, exist_ok=True)
    if group is not None:
        os.chown(run, -1, group)
        run.chmod(0o710)


def clear(folder: Path) -> None:
    """Remove the socket when nobody listens: nginx leaves it when it is killed, or does not take a configuration."""
    with suppress(OSError):
        try:
            with connected(folder / SOCKET, monotonic() + 1):
                pass
        except ConnectionRefusedError:
            (folder / SOCKET).unlink()


@lru_cache
def _build(program: str) -> dict[str, str]:
    """The arguments that nginx was built with."""
    try:
        told = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    words = re.findall(r"(--[\w-]+)(?:=('[^']*'|\S*))?", told.stderr.partition("configure arguments:")[2])
    return {name: value.strip("'") for name, value in words}
