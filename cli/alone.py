"""The commands that need no platform (help, version), answered by the local `pushlog` when none runs."""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from cli.client import CUT_OFF
from cli.dispatch import run
from cli.parsing import parse
from cli.values import Record, Wanted
from services.errors import PushlogError, Unavailable
from services.eventlog import EventLog
from services.moments import Moment
from services.terminal import harmless, redrawn


class Alone:
    """A Context with this process's own streams and no platform behind it."""

    actor = origin = "local"
    user = ""
    columns = 80
    domain = "localhost"
    http_port = 80
    quiet = force = dry_run = False
    format = ""
    at: int | None = None

    def __init__(self, output: int = 1) -> None:
        self.output, self.tty = output, os.isatty(output)

    @property
    def log(self) -> EventLog:
        raise _nobody()

    def permits(self, needs: str, app: str | None) -> bool:
        return False

    def call(self, service: str, method: str, **kwargs: Any) -> Any:
        raise _nobody()

    def read_stdin(self, limit: int) -> bytes:
        return sys.stdin.buffer.read(limit)

    def read_line(self, limit: int) -> bytes:
        return sys.stdin.buffer.readline(limit)

    def write(self, data: bytes, *, exact: bool = False) -> None:
        """See Context. Whoever read has enough at times (`events | head`): that ends it, without a word."""
        data = harmless(data) if self.tty else data
        try:
            while data:
                data = data[os.write(self.output, data) :]
        except BrokenPipeError:
            raise SystemExit(CUT_OFF) from None
        except OSError as error:
            raise Unavailable(f"output: cannot be written ({error.strerror})") from None

    def write_err(self, data: bytes) -> None:
        self._say(harmless(data))

    def redraw(self, text: str) -> None:
        self._say(redrawn(text))

    def _say(self, data: bytes) -> None:
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()

    def pause(self, seconds: float) -> None:
        raise _nobody()

    def seal(self, app: str, key: str, value: str) -> str:
        raise _nobody()

    def open(self, app: str, key: str, sealed: str) -> str:
        raise _nobody()

    def rekey(self, limit: int) -> Record:
        raise _nobody()

    def follow(self, correlation: str) -> Iterator[bytes | int]:
        raise _nobody()

    def events(self, wanted: Wanted) -> Iterator[Sequence[Record]]:
        raise _nobody()

    def export_backup(self, *, images: bool) -> None:
        raise _nobody()

    def verify_backup(self) -> Record:
        raise _nobody()

    def import_backup(self, moment: Moment | None, *, dry_run: bool) -> Record:
        raise _nobody()


def answer(argv: Sequence[str]) -> int | None:
    """Run a command that needs no platform; returns its exit code, or None when `argv` is another command.

    A command line that is wrong in itself is answered here, too.
    """
    try:
        needs_platform = parse(argv).command.needs != "nothing"
    except PushlogError:
        needs_platform = False
    return None if needs_platform else run(Alone(), argv)


def _nobody() -> Unavailable:
    return Unavailable("no Pushlog instance runs here")
