"""What apps print: from Docker while a container is there, from a file of the home once it is not."""

import errno
import os
import re
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deployer.containers import Containers
from services import disk

LIMIT = 10 * 1024 * 1024
DEFAULT_LINES = 100
TIME = re.compile(rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z) ?(.*)$", re.DOTALL)


@dataclass(frozen=True, order=True)
class Line:
    """One line: `time` as Docker wrote it (RFC 3339, nanoseconds), `process` like web.1."""

    time: str
    process: str
    text: str


class Archive:
    """The lines of containers that are gone, one folder an app; each file is kept below LIMIT by halving it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, app: str, process: str, raw: bytes) -> None:
        """Keep what a container of the app (uuid) printed, each line behind its time.

        Raises Unavailable when the disk does not take it; then nothing of it is kept.
        """
        if not raw:
            return
        path = self._folder / app / process
        with disk.answering(self._folder.parent):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size > LIMIT:
                path.replace(path.with_suffix(path.suffix + ".old"))
            append(path, raw[-LIMIT:])

    def lines(self, app: str, process: str, count: int | None, after: float | None) -> list[Line]:
        """The last `count` lines kept of a process (like web.1); none of files that end before `after` (epoch)."""
        path = self._folder / app / process
        files = [p for p in (path.with_suffix(path.suffix + ".old"), path) if p.exists()]
        parts = [p.read_bytes() for p in files if after is None or p.stat().st_mtime >= after]
        return parse(tail(b"".join(parts), count), process)

    def processes(self, app: str) -> set[str]:
        """Every process that something is kept of."""
        folder = self._folder / app
        return {p.name for p in folder.iterdir() if p.suffix != ".old"} if folder.exists() else set()

    def keep_only(self, apps: Collection[str]) -> None:
        """Forget the lines of every app but these."""
        for folder in self._folder.glob("*"):
            if folder.name not in apps:
                shutil.rmtree(folder, ignore_errors=True)


def append(path: Path, data: bytes) -> None:
    """Add `data` to a file, all of it or nothing."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(before)
            raise


def tail(raw: bytes, count: int | None) -> bytes:
    """The last `count` lines of a text, or all of it."""
    return raw if count is None else b"\n".join(raw.rsplit(b"\n", count + 1)[-count - 1 :])


def parse(raw: bytes, process: str) -> list[Line]:
    """The lines of Docker's text with times. A line without one goes on from the line before."""
    lines: list[Line] = []
    for part in raw.split(b"\n"):
        if found := TIME.match(part):
            lines.append(Line(found[1].decode(), process, found[2].decode(errors="replace").rstrip("\r")))
    return lines


def collect(
    containers: Containers, archive: Archive, app: str, count: int | None, process: str | None, since: str | None
) -> list[Line]:
    """An app's last `count` lines in the order of time; only those of `process` (web or web.1) and after `since`."""
    after = None if since is None else datetime.fromisoformat(since[:26].rstrip("Z") + "+00:00").timestamp()
    lines: list[Line] = []
    for container in containers.list(app):
        name = f"{container.identity[2]}.{container.identity[3]}"
        if chosen(name, process):
            lines += parse(containers.logs(container.id, count, after), name)
    for name in archive.processes(app):
        if chosen(name, process):
            lines += archive.lines(app, name, count, after)
    return newest((line for line in lines if since is None or line.time > since), count)


def chosen(name: str, process: str | None) -> bool:
    """Whether `process` (web, web.1 or None for all) names the container `name` (web.1)."""
    return process is None or process in (name, name.rpartition(".")[0])


def newest(lines: Iterable[Line], count: int | None) -> list[Line]:
    """The last `count` of the lines in the order of time, each once."""
    ordered = sorted(set(lines))
    return ordered if count is None else ordered[max(0, len(ordered) - count) :]
