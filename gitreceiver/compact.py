"""Keeps repositories small: what no branch, release or push under way needs is dropped, and many packs become one."""

import logging
import time
from pathlib import Path

from gitreceiver.git import program
from gitreceiver.git.repository import Repository, repositories
from gitreceiver.ports import Ports
from gitreceiver.room import taken
from gitreceiver.state import App
from services import disk
from services.errors import Unavailable

log = logging.getLogger("pushlog")

EVERY = 30.0
"""Seconds between looks at all repositories."""
MANY = 50
"""Packs, or held pushes that nothing needs, after which a repository is compacted however small it is."""
CPU_SECONDS = 600
PATIENCE = 5.0
"""Seconds of waiting for those who use a repository, such as a client that pushes again and again."""
REPACK = (
    "git",
    *("-c", "repack.writeBitmaps=false", "-c", "repack.updateServerInfo=false", "-c", "pack.threads=1"),
    *("repack", "-a", "-d", "-q", "--window=0"),
)


class Compactor:
    """Compacts the repositories of one process. What each had held after its last time is remembered."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._before: dict[str, set[str]] = {}

    def for_ever(self) -> None:
        """Look at all repositories now and then. Without C git nothing is compacted."""
        while program.has_git():
            self._ports.projections.catch_up()
            for id_, path in list(repositories(self._ports.settings.home)):
                if app := self._ports.state.known(id_):
                    self.look(app, Repository(path))
            time.sleep(EVERY)

    def look(self, app: App, repository: Repository, patience: float = PATIENCE) -> bool:
        """Compact a repository if that is worth it and nobody uses it; returns whether it was.

        It is worth it when it has many packs or much that nothing needs, or is half full and something was dropped.
        """
        held = repository.held()
        kept = needed(app, held)
        packs = len(list((repository.objects / "pack").glob("*.pack")))
        dropped = len(held) > len(kept) or not self._before.get(app.id, {""}) <= set(kept.values())
        size = taken(repository.path)
        full = size > self._ports.settings.app_limit / 2
        if not (packs > MANY or len(held) - len(kept) > MANY or (full and dropped)):
            return False
        try:
            disk.require(repository.path, size)  # the new pack stands beside the old ones
        except Unavailable as error:
            log.warning("the repository of %s is not compacted: %s", app.name, error)
            return False
        with repository.alone(patience) as lock:
            return lock is not None and self._compact(app, repository, lock)

    def _compact(self, app: App, repository: Repository, lock: int) -> bool:
        self._ports.projections.catch_up()
        known = self._ports.state.known(app.id)
        if known is None:
            return False
        held = repository.held()
        kept = needed(known, held)
        for push in held.keys() - kept.keys():
            repository.release(push)
        clean(repository.objects / "pack")
        _, errors = program.run(REPACK, program.environment(repository.path), program.giving(b""), CPU_SECONDS, [lock])
        if errors:
            log.warning("the repository of %s is not compacted: %s", app.name, errors.strip())
            return False
        self._before[app.id] = set(kept.values())
        return True


def needed(app: App, held: dict[str, str]) -> dict[str, str]:
    """Those of the held pushes, with their commits, that something needs.

    That is a branch or tag, a release (it can be gone back to), or a push without an outcome.
    """
    tips = set(app.refs.values())
    return {
        push: commit for push, commit in held.items() if commit in tips or push in app.released or push in app.pending
    }


def clean(folder: Path) -> None:
    """Remove what a repack that was killed has left."""
    for path in (*folder.glob(".tmp-*"), *folder.glob("tmp_*")):
        path.unlink(missing_ok=True)
