"""The disk below the home: whether there is room, and what it means when there is none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.errors import Unavailable

RESERVE = 32 << 20
"""Bytes that a push leaves free, so that the log, the output and nginx go on."""


@contextmanager
def answering(folder: Path) -> Iterator[None]:
    """Raise Unavailable, with the free space, for what the disk below `folder` does not do."""
    try:
        yield
    except ConnectionError:  # a broken pipe is no disk's doing: whoever was written to is gone
        raise
    except OSError as error:
        raise Unavailable(f"{folder}: {error.strerror or error}{_room(folder)}") from error


def takes(folder: Path, size: int) -> bool:
    """Whether the disk below `folder` takes `size` bytes and RESERVE more."""
    return shutil.disk_usage(folder).free >= size + RESERVE


def require(folder: Path, size: int = 0) -> None:
    """Raise Unavailable unless the disk below `folder` takes `size` bytes and RESERVE more."""
    if not takes(folder, size):
        free = shutil.disk_usage(folder).free
        raise Unavailable(
            f"the disk is full: {human(free)} are free at {folder}, {human(size + RESERVE)} are needed; "
            "free some and try again"
        )


def _room(folder: Path) -> str:
    with suppress(OSError):
        disk = shutil.disk_usage(folder)
        return f"; {human(disk.free)} of {human(disk.total)} are free there"
    return ""


def human(size: int) -> str:
    """A number of bytes for people: `500 MiB`, `1.5 GiB`, `12 bytes`."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{size} bytes"
