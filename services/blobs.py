"""What travels beside the log: output by digest, and live output that is read while it grows.

The events hold the digests. Today both are folders of the home that the services share.
"""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from services import files
from services.disk import answering
from services.errors import Unavailable

log = logging.getLogger("pushlog")

CHUNK = 1 << 20
YOUNG = 60.0
"""Seconds in which an outcome whose output was stored is recorded: longer than any lease lasts."""


class Blobs:
    """Immutable bytes by `sha256:<hex>` in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, write: Callable[[BinaryIO], None]) -> str:
        """Store what `write` writes into the file it is given, durably; returns the digest.

        Raises Unavailable, and nothing is left, when the disk does not take it.
        """
        temporary = self._folder / f".{os.getpid()}.{os.urandom(8).hex()}"
        with answering(self._folder):
            try:
                with temporary.open("w+b") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                    file.seek(0)
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                temporary.rename(self._folder / digest)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            files.sync_folder(self._folder)
        return f"sha256:{digest}"

    def put_bytes(self, data: bytes) -> str:
        """Store `data`; returns the digest."""

        def write(file: BinaryIO) -> None:
            file.write(data)

        return self.put(write)

    def keep(self, output: "LiveOutput") -> str | None:
        """Store what was written to `output`; None when the disk does not take it.

        For failures: they are recorded in any case.
        """
        try:
            return self.put_bytes(bytes(output.kept))
        except Unavailable as error:
            log.warning("the output of a failure is not kept: %s", error)
            return None

    def remove(self, digests: Iterable[str]) -> int:
        """Remove those of these blobs that are not young; returns how many there were.

        A young one may have been stored anew for an outcome that is not recorded yet.
        """
        oldest = time.time() - YOUNG
        old = [path for digest in digests if (path := self.place(digest)).is_file() and path.stat().st_mtime < oldest]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def path(self, digest: str) -> Path:
        """The file of a blob. Raises KeyError when it is not there."""
        path = self.place(digest)
        if not path.is_file():
            raise KeyError(digest)
        return path

    def place(self, digest: str) -> Path:
        """Where a blob is, if it is there."""
        return self._folder / digest.removeprefix("sha256:")

    def read(self, digest: str) -> bytes:
        """A blob's bytes. Raises KeyError when it is not there."""
        return self.path(digest).read_bytes()


class Output(Protocol):
    """Where a hop writes what a user sees live."""

    def write(self, data: bytes) -> None:
        """Add `data`."""
        ...

    def line(self, text: str) -> None:
        """Add `text` as a line."""
        ...


class LiveOutput:
    """One story's live output: a file that every hop appends to and that followers read by offset.

    What is written through this object is also kept, up to `limit` bytes, so that it can become a blob.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._lock = threading.Lock()
        self.kept = bytearray()

    def write(self, data: bytes) -> None:
        """See Output.write. Raises Unavailable when the disk does not take it."""
        with self._lock:
            self.kept += data[: max(0, self._limit - len(self.kept))]
            with answering(self._path.parent), self._path.open("ab") as file:
                file.write(data)

    def line(self, text: str) -> None:
        """See Output.line."""
        self.write(text.encode(errors="replace") + b"\n")

    def step(self, text: str) -> None:
        """Add a step, as Heroku prints them."""
        self.line(f"-----> {text}")

    def error(self, text: str) -> None:
        """Add a warning or error, each line marked."""
        for part in text.splitlines() or [""]:
            self.line(f" !     {part}")

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Say that work waits for a part that does not answer, once; the error goes on to whoever tries again."""
        try:
            yield
        except Unavailable as error:
            with suppress(Unavailable):
                self._say_once(f" !     {error}; this waits and is tried again\n".encode())
            raise

    def _say_once(self, line: bytes) -> None:
        """Write `line` unless it is the last one already, whichever process wrote that."""
        with answering(self._path.parent):
            said = self._path.read_bytes() if self._path.exists() else b""
        if not said.endswith(line):
            self.write(line)


class Outputs:
    """Every story's live output, by correlation id, in `folder`."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, correlation: str) -> LiveOutput:
        """The output of a story, to be appended to."""
        return LiveOutput(self._folder / correlation, self._limit)

    def read(self, correlation: str, offset: int) -> bytes:
        """What stands in a story's output from `offset` on, at most 1 MiB; empty when nothing does."""
        try:
            with (self._folder / correlation).open("rb") as file:
                file.seek(offset)
                return file.read(CHUNK)
        except FileNotFoundError:
            return b""

    def remove(self, correlation: str) -> None:
        """Forget a story's live output: what counts of it is a blob."""
        (self._folder / correlation).unlink(missing_ok=True)

    def forget(self, seconds: float) -> None:
        """Forget every story's output to which nothing was added for so long: its end was followed by nobody."""
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # its follower was faster
                if time.time() - path.stat().st_mtime > seconds:
                    path.unlink()
