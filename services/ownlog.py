"""The platform's own log on stderr: a line a record, harmless whoever sent the text, and so much a minute.

Where stderr is the instance's own file, that is renewed as it grows.
"""

import io
import logging
import os
import sys
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, cast

from services.ownfile import STDERR, OwnFile
from services.terminal import visible

LONGEST, TRACE_LONGEST = 2000, 500
"""Characters of a line, and of one of a trace."""
TRACE_LINES = 60
SHARE, SHARE_SECONDS = 16 * 1024, 60.0
"""Characters after which one place in the code has written enough for so many seconds."""
CLIENTS, CLIENT_SHARE = 64, 2 * 1024
"""So many clients have a share of their own in the records of a place that name their client as `source`; others have
the place's."""


def cut(text: str, longest: int = LONGEST) -> str:
    """Text as one line without control characters, its end left out if it is long."""
    line = visible(text[:longest])
    return line if len(text) <= longest >= len(line) else f"{line[:longest]}… ({len(text)} characters)"


def traced(trace: str) -> list[str]:
    """The lines of a trace, indented so that none reads as a record; the middle of a long one left out."""
    lines = trace.splitlines()
    if len(lines) > TRACE_LINES:
        half = TRACE_LINES // 2
        lines[half:-half] = [f"… ({len(lines) - 2 * half} lines)"]
    return [f"    {cut(line, TRACE_LONGEST)}" for line in lines]


class Lines(logging.Formatter):
    """Time, logger, level and message on one line, a trace indented below."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        try:
            message = record.getMessage()
        except Exception as error:  # whoever reads the log sees it; who wrote to it goes on
            message = f"{record.msg!r} (it cannot be shown: {type(error).__name__})"
        trace = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        head = f"{self.formatTime(record)} {record.name} {record.levelname} {cut(message)}"
        return "\n".join([head, *traced(trace), *traced(record.stack_info or "")])


class Share:
    """What one place in the code wrote of late. It may write until `most` is used up."""

    def __init__(self, now: float, most: int) -> None:
        self.began, self.most, self.used, self.lost = now, most, 0, 0

    def admits(self, now: float) -> bool:
        """Whether a record may be written; counts it otherwise."""
        if now - self.began > SHARE_SECONDS:
            self.began, self.used = now, 0
        self.lost += self.used >= self.most
        return self.used < self.most

    def spend(self, text: str) -> str:
        """The record, and what is left out before and after it."""
        before, self.lost = self.lost, 0
        self.used += len(text)
        text += f"\n    ({before} of these were left out before)" if before else ""
        more = f"\n    (more of these are left out for up to {SHARE_SECONDS:.0f} s)"
        return text + more if self.used >= self.most else text


class Shares:
    """The share of each place, and of each client in the records of a place."""

    def __init__(self) -> None:
        self._places: dict[Hashable, Share] = {}
        self._clients: dict[Hashable, dict[str, Share]] = {}

    def of(self, record: logging.LogRecord, now: float) -> Share:
        """Whose share a record takes from."""
        place = (record.name, record.levelno, record.pathname, record.lineno)
        return self._of_client(place, getattr(record, "source", ""), now) or self._places.setdefault(
            place, Share(now, SHARE)
        )

    def _of_client(self, place: Hashable, source: str, now: float) -> Share | None:
        clients = self._clients.get(place, {})
        if source and source not in clients and len(clients) >= CLIENTS:
            clients = {known: share for known, share in clients.items() if now - share.began <= SHARE_SECONDS}
        if not source or (source not in clients and len(clients) >= CLIENTS):
            return None
        self._clients[place] = clients
        return clients.setdefault(source, Share(now, CLIENT_SHARE))


class OwnLog(logging.Handler):
    """Writes records to stderr. A disk that is full stops nothing; what it did not take is lost."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.setFormatter(Lines())
        self._clock = clock
        self._shares = Shares()
        self._file: OwnFile | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            share = self._shares.of(record, now := self._clock())
            if share.admits(now):
                self.write(share.spend(self.format(record)))
        except Exception:  # as logging's own handlers do: whoever wrote the record goes on
            self.handleError(record)

    def write(self, text: str) -> None:
        """Add whole lines."""
        data = f"{text}\n".encode(errors="backslashreplace")
        if self._file:
            with suppress(OSError):
                self._file.check(self._clock())
        with suppress(OSError), io.FileIO(STDERR, "wb", closefd=False) as stderr:
            while data:
                data = data[stderr.write(data) or len(data) :]

    def renew(self, path: Path) -> None:
        """From now on renew the file `path` as it grows, if stderr is that. Only who holds the home may ask for it."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(STDERR), path.stat()):
                self._file = OwnFile(path.resolve())


class Prints(io.TextIOBase):
    """Stands for stderr: what a library prints there by itself becomes records."""

    def __init__(self) -> None:
        self._rest = ""
        self._log = logging.getLogger("stderr")

    def fileno(self) -> int:
        """Where what is no text goes, such as faulthandler's traces."""
        return STDERR

    def write(self, text: str) -> int:
        """See io.TextIOBase."""
        *lines, self._rest = (self._rest + text).split("\n")
        lines += [self._rest] * (len(self._rest) > LONGEST)
        self._rest = self._rest if len(self._rest) <= LONGEST else ""
        for line in lines:
            self._log.warning("%s", line)
        return len(text)


def listening() -> OwnLog:
    """Have all records of this process go there."""
    own = OwnLog()
    logging.basicConfig(level=logging.WARNING, handlers=[own])
    return own


@contextmanager
def prints_too() -> Iterator[None]:
    """The same for what is printed to stderr while the block runs, and for an error that ends the process."""
    before, sys.stderr = sys.stderr, cast(TextIO, Prints())
    sys.excepthook = lambda *error: logging.getLogger("pushlog").critical("this process ends", exc_info=error)
    try:
        yield
    finally:
        sys.stderr = before
