"""Whom the kernel ends when memory is short: builds first, then apps, then what works for one client."""

import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("pushlog")

PLATFORM, CLIENT, APP, BUILD = -500, 300, 500, 800
"""Scores that are added to a process's share of the memory, in thousandths; the highest sum is ended first."""


def protect(pid: int | None = None, score: int = PLATFORM) -> None:
    """Have the kernel spare a process, by default this one, and what it starts from now on.

    Only root may do so, and not in every container: elsewhere nothing is changed, and apps and builds stand out alone.
    """
    try:
        if int(_file(pid).read_text()) > score:
            _file(pid).write_text(str(score))
    except OSError as error:
        log.debug("the kernel's choice when memory is short stays as it is: %s", error)


def expose(pid: int, score: int = CLIENT) -> None:
    """Have the kernel end a process before the platform, which started it for one client."""
    with suppress(OSError):  # it has ended
        _file(pid).write_text(str(score))


def _file(pid: int | None) -> Path:
    return Path(f"/proc/{pid or os.getpid()}/oom_score_adj")
