"""What an install command writes, watched while it runs: beyond a limit its container is ended at once.

Docker has no such limit of its own on most hosts. Docker tells what stands in the container's layer, a program in the
container what stands in the app's cache, and the host what is free on the disk.
"""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker.utils import parse_bytes

from builder import containers
from builder.errors import BuildRefused
from builder.job import Job
from services.disk import human
from services.errors import Unavailable

log = logging.getLogger("pushlog.builder")

EVERY = 2.0
LEFT = 256 << 20
"""Bytes that a build leaves free on the disk, for all else."""
BEYOND = 3
MEASURE = ["/bin/bash", "-c", f"size=$(timeout 60 du -sk /cache) && ((${{size%%[!0-9]*}} <= $0)) || exit {BEYOND}"]
"""Ends with BEYOND when the cache has more KiB than the word behind it says, or cannot be read in time."""


class Watch:
    """One container's writing. `check` raises BuildRefused once it went beyond a limit."""

    def __init__(self, job: Job, container: str) -> None:
        self._job, self._container = job, container
        self._layer = int(parse_bytes(job.settings.build_layer_limit))
        self._cache = 2 * int(parse_bytes(job.settings.build_cache_limit))  # beyond half of that it is emptied later
        self._disk = _disk(job)
        self._over = threading.Event()
        self._refusal: BuildRefused | None = None

    def run(self) -> None:
        """Look every EVERY seconds until it is over, and end the container beyond a limit."""
        while not self._over.wait(EVERY):
            try:
                with containers.translated():
                    if self._refusal is None:
                        self.look()
                    if self._refusal:
                        containers.kill(self._job.client, self._container)
                        return
            except Unavailable as error:  # the next look may tell
                log.debug("what a build writes is unknown: %s", error)

    def look(self) -> None:
        """Compare what there is with the limits."""
        free = shutil.disk_usage(self._disk).free
        if free < LEFT:
            self._refusal = BuildRefused(f"the build was ended, as only {human(free)} are free on the disk; free some")
        elif (layer := containers.written(self._job.client, self._container)) > self._layer:
            limit, setting = self._job.settings.build_layer_limit, "PUSHLOG_BUILD_LAYER_LIMIT"
            self._refusal = BuildRefused(f"the build wrote {human(layer)}; use at most {limit} ({setting})")
        elif (cache := self._cached()) > self._cache:
            limit = f"{human(self._cache)}, twice the PUSHLOG_BUILD_CACHE_LIMIT"
            self._refusal = BuildRefused(f"the build wrote {human(cache)} to /cache; use at most {limit}")

    def check(self) -> None:
        """Raise what was found, if anything was."""
        if self._refusal:
            raise self._refusal

    def end(self) -> None:
        """Look no more."""
        self._over.set()

    def _cached(self) -> int:
        """Bytes in the cache, as far as they can be counted."""
        said = bytearray()
        containers.execute(self._job.client, self._container, ["/usr/bin/du", "-sk", "/cache"], {}, said.extend)
        total = bytes(said).rpartition(b"\n")[0].rpartition(b"\n")[2].partition(b"\t")[0]
        return int(total) << 10 if total.isdigit() else 0


@contextmanager
def watching(job: Job, container: str) -> Iterator[Watch]:
    """Watch what a running container writes while the block runs."""
    watch = Watch(job, container)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()


@contextmanager
def bounded(job: Job, stack: str, cache: str) -> Iterator[None]:
    """Remove the volume `cache` after the block when it is beyond its limit; the next build has an empty one."""
    try:
        yield
    finally:
        try:
            with containers.translated():
                if _beyond(job, stack, cache) and containers.remove_volume(job.client, cache):
                    limit = f"PUSHLOG_BUILD_CACHE_LIMIT, {job.settings.build_cache_limit}"
                    job.output.detail(f"The package cache was larger than {limit}, and is emptied")
        except Unavailable as error:  # the next build looks again
            log.warning("the cache of %s stays as it is: %s", job.request.name, error)


def _beyond(job: Job, stack: str, cache: str) -> bool:
    kibibytes = int(parse_bytes(job.settings.build_cache_limit)) >> 10
    host = {"network_mode": "none", "cap_drop": ["ALL"], "binds": {cache: {"bind": "/cache", "mode": "ro"}}}
    with containers.container(job.client, stack, job.labels, host, [*MEASURE, str(kibibytes)]) as container:
        containers.start(job.client, container)
        return containers.exit_code(job.client, container) == BEYOND


def _disk(job: Job) -> Path:
    """A folder on the disk that Docker writes to, where that is this host's."""
    root = Path(str(job.client.info().get("DockerRootDir", "")))
    return root if root.is_absolute() and root.is_dir() else job.settings.home
