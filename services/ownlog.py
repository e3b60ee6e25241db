"""The platform's own log on stderr: a line a record, harmless whoever sent the text, and so much a minute.

Where stderr is the instance's own file, the file is renewed as it grows.
"""

import io
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, cast

from services.terminal import visible

LONGEST, TRACE_LONGEST = 2000, 500
"""Characters of a line, and of one of a trace."""
TRACE_LINES = 60
SHARE, SHARE_SECONDS = 16 * 1024, 60.0
"""Characters after which one place in the code has written enough for so many seconds."""
LIMIT = 8 * 1024 * 1024
"""Bytes of the file, and of each of its KEPT older parts."""
KEPT = 4
AGAIN = 60.0
STDOUT, STDERR = 1, 2


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
    """What one place in the code wrote of late. It may write until SHARE is used up."""

    def __init__(self, now: float) -> None:
        self.began, self.used, self.lost = now, 0, 0

    def admits(self, now: float) -> bool:
        """Whether a record may be written; counts it otherwise."""
        if now - self.began > SHARE_SECONDS:
            self.began, self.used = now, 0
        self.lost += self.used >= SHARE
        return self.used < SHARE

    def spend(self, text: str) -> str:
        """The record, and what is left out before and after it."""
        before, self.lost = self.lost, 0
        self.used += len(text)
        text += f"\n    ({before} of these were left out before)" if before else ""
        more = f"\n    (more of these are left out for up to {SHARE_SECONDS:.0f} s)"
        return text + more if self.used >= SHARE else text


class OwnLog(logging.Handler):
    """Writes records to stderr. A disk that is full stops nothing; what it did not take is lost."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.setFormatter(Lines())
        self._clock = clock
        self._shares: dict[tuple[str, int, str, int], Share] = {}
        self._file: OwnFile | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        place, now = (record.name, record.levelno, record.pathname, record.lineno), self._clock()
        share = self._shares.setdefault(place, Share(now))
        if share.admits(now):
            self.write(share.spend(self.format(record)))

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


class OwnFile:
    """The file that stdout and stderr go to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._due = 0.0

    def check(self, now: float) -> None:
        """Begin a new file when this one is long, or was moved away. What fails is tried again after a while."""
        size = os.fstat(STDERR).st_size
        there = self.path.exists() and os.path.samestat(os.fstat(STDERR), self.path.stat())
        if now >= self._due and (size > LIMIT or not there):
            self._due = now + AGAIN
            self._begin(keep=there)
            self._due = 0.0

    def _begin(self, *, keep: bool) -> None:
        """Go on in a new file; with `keep` this one becomes the newest older part.

        A process that dies in between leaves every part that was to be kept, perhaps no file of the name.
        """
        fresh = self.path.with_name(f"{self.path.name}.new") if keep else self.path
        opened = os.open(fresh, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if keep:
                for n in range(KEPT, 0, -1):
                    newer = part(self.path, n - 1)
                    if newer.exists():
                        newer.replace(part(self.path, n))
                fresh.replace(self.path)
            old = os.fstat(STDERR)
            for descriptor in (STDOUT, STDERR):
                if os.path.samestat(os.fstat(descriptor), old):
                    os.dup2(opened, descriptor)
        finally:
            os.close(opened)


def part(path: Path, n: int) -> Path:
    """The file, or its n-th older part."""
    return path.with_name(f"{path.name}.{n}") if n else path


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
