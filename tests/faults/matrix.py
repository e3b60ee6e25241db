"""The table that a run of these tests ends with: a line for each fault at each point, and what was seen."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Cell:
    """One fault at one point. `seen` is what came of it, in a few words that the test gives."""

    fault: str
    point: str
    seen: str = ""
    seconds: float = 0.0
    failed: bool = False


CELLS: list[Cell] = []


@contextmanager
def cell(fault: str, point: str) -> Iterator[Cell]:
    """Enter a fault into the table; the block makes it happen, checks what comes of it, and says so in `seen`."""
    entered = Cell(fault, point)
    CELLS.append(entered)
    start = time.monotonic()
    try:
        yield entered
    except BaseException as error:
        entered.failed = True
        entered.seen = f"{type(error).__name__}: {error}".splitlines()[0]
        raise
    finally:
        entered.seconds = time.monotonic() - start


def table() -> list[str]:
    """The table's lines, columns aligned; none without cells."""
    rows = [("fault", "point", "seconds", "seen"), *(_row(cell) for cell in CELLS)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{fault:<{widths[0]}}  {point:<{widths[1]}}  {seconds:>{widths[2]}}  {seen}"
        for fault, point, seconds, seen in rows
    ]
    return lines if CELLS else []


def _row(cell: Cell) -> tuple[str, str, str, str]:
    return cell.fault, cell.point, f"{cell.seconds:.1f}", ("FAILED " if cell.failed else "") + cell.seen
