"""backup:verify and backup:import. An import changes nothing before the backup is known to be sound."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dulwich.objects import ObjectID

from gitreceiver.backup import images
from gitreceiver.backup.archive import Read
from gitreceiver.backup.replay import cut, until, wanted_at
from gitreceiver.backup.staging import Staged, held, staged
from gitreceiver.backup.wanted import Tree, Wanted
from gitreceiver.git.repository import FOLDER, repositories
from gitreceiver.ports import Ports
from services import files
from services.errors import Refused, Unavailable
from services.eventlog import refuse_events
from services.moments import Moment

Json = dict[str, Any]
Say = Callable[[str], None]
_importing = threading.Lock()


def verify(folder: Path, read: Read, passphrase: str | None) -> Json:
    """What a sound backup holds; only below `folder` is there anything of it meanwhile. Raises as `staged` does."""
    with staged(folder, read, passphrase, keep=False) as backup:
        return summary(backup, backup.wanted, backup.head.position)


def import_(ports: Ports, read: Read, passphrase: str | None, say: Say, moment: Moment | None, dry_run: bool) -> Json:
    """Be the instance that a backup is of, as it was at a moment or at its end; returns what came.

    Objects and sources come first, each by one rename, then all events and keys in one transaction. So one that ends in
    the middle leaves an empty log, and begins again. Raises Refused unless the instance is empty, and what `staged`
    raises; then nothing was changed.
    """
    refuse_events(ports.log.head())
    if not _importing.acquire(blocking=False):
        raise Refused("another import is under way; wait for its end")
    try:
        with staged(ports.settings.home, read, passphrase, keep=not dry_run) as backup:
            position = backup.head.position if moment is None else cut(backup.log, moment)
            wanted = backup.wanted if moment is None else wanted_at(backup.log, position)
            if not dry_run:
                apply(ports, backup, wanted, position, say)
            return summary(backup, wanted, position)
    finally:
        _importing.release()


def summary(backup: Staged, wanted: Wanted, position: int) -> Json:
    """What there is of a backup up to a position."""
    last = backup.log.rows(position - 1, 1)[0] if position else None
    return {
        "head": f"{position}:{last[-1] if last else backup.head.hash}",
        "time": last[8] if last else "",
        "events": position,
        "apps": len(wanted.apps),
        "parts": backup.parts,
    }


def apply(ports: Ports, backup: Staged, wanted: Wanted, position: int, say: Say) -> None:
    """Bring everything into place, and last the log. Raises Refused when something was recorded meanwhile."""
    refuse_events(ports.log.head())
    sweep(ports.settings.home, wanted)
    for app, known in wanted.apps.items():
        if known.sealed and app not in backup.keys:
            say(f"{known.name}: its key is not in the backup, as of an app that was shredded then; its config is lost")
    for app, trees in wanted.trees().items():
        for tree in trees:
            if not place_blob(ports, backup, tree) and not kept(backup, app, tree):
                say(f"{wanted.apps[app].name}: a source is not in the backup, nor its commit {tree.commit[:8]}")
    files.sync_folder(ports.settings.home / "blobs")
    load_images(backup, say)
    root = ports.settings.home / FOLDER
    for app, repository in backup.repositories.items():
        if app in wanted.apps:
            for push, commit in held(wanted.apps[app], repository):
                repository.hold(push, commit)
            shutil.rmtree(root / f"{app}.git", ignore_errors=True)
            repository.path.rename(root / f"{app}.git")
    files.sync_folder(root)
    keys = {app: ports.keyring.wrap(app, key) for app, key in backup.keys.items() if app in wanted.apps}
    ports.log.adopt(until(backup.log, position), keys)
    ports.projections.catch_up()


def sweep(home: Path, wanted: Wanted) -> None:
    """Remove what an import of another backup left that died before its log: an empty log has no app."""
    for app, path in repositories(home):
        if app not in wanted.apps:
            shutil.rmtree(path, ignore_errors=True)
    sources = {tree.source.removeprefix("sha256:") for trees in wanted.trees().values() for tree in trees}
    for path in (home / "blobs").glob("[0-9a-f]" * 64):
        if path.name not in sources:
            path.unlink()


def load_images(backup: Staged, say: Say) -> None:
    """Have Docker load the backup's images, if it has any; without them apps come up more slowly."""
    if backup.images:
        try:
            images.load(backup.images)
        except (Refused, Unavailable) as error:
            say(f"The backup's images are not used, they are built again: {error}")


def place_blob(ports: Ports, backup: Staged, tree: Tree) -> bool:
    """Bring the tar that an old version kept of a tree into place, if the backup has it; whether it is there."""
    path = ports.settings.home / "blobs" / tree.source.removeprefix("sha256:")
    if (found := backup.blobs.get(tree.source)) and found.exists():
        found.rename(path)
    return bool(tree.source) and path.exists()


def kept(backup: Staged, app: str, tree: Tree) -> bool:
    """Whether the backup has a tree's commit."""
    repository = backup.repositories.get(app)
    if repository is None:
        return False
    with repository.store() as store:
        return ObjectID(tree.commit.encode()) in store
