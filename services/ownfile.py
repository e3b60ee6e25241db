"""The file that a detached instance logs to: renewed as it grows, by the process whose stdout and stderr it is."""

import os
from pathlib import Path

LIMIT = 8 * 1024 * 1024
"""Bytes of the file, and of each of its KEPT older parts."""
KEPT = 4
AGAIN = 60.0
"""Seconds until a renewal that failed is tried again."""
STDOUT, STDERR = 1, 2


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
