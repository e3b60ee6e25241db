"""How far a backup is read, said on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from cli.table import Context
from gitreceiver.backup.archive import Read
from services.disk import human
from services.errors import PushlogError

EVERY = 0.2


@contextmanager
def told(context: Context, read: Read) -> Iterator[Read]:
    """`read`, and on a terminal how much of the archive it gave, in one line that the result replaces."""
    count, last, shown = 0, monotonic(), False

    def counted(limit: int) -> bytes:
        nonlocal count, last, shown
        data = read(limit)
        count += len(data)
        if context.tty and not context.quiet and (monotonic() - last >= EVERY or not data):
            last, shown = monotonic(), True
            context.redraw(f"       {human(count)} read{'' if data else ', checking it'}")
        return data

    try:
        yield counted
    finally:
        if shown:
            with suppress(PushlogError):  # who left needs no clean line
                context.redraw("")
