"""How much one app, and all apps that one key created, may keep on the disk."""

import os
import time
from functools import lru_cache
from pathlib import Path

from gitreceiver.git.indexing import BadPack
from gitreceiver.git.repository import FOLDER
from gitreceiver.ports import Ports
from gitreceiver.state import App
from services.blobs import Blobs
from services.disk import human

BLOCK = 512
"""The bytes of a block that stat counts."""


class Full(BadPack):
    """A push would keep more than its app, or the key that created it, may keep."""


def require(ports: Ports, app: App) -> None:
    """Raise Full when `app` keeps more than it may by now, or the apps of its creator do, packs under way included.

    `app` may be one that does not exist yet. Apps that `local` created have no limit together.
    """
    settings = ports.settings
    if (size := used(ports, app)) > settings.app_limit:
        raise Full(
            f"app: {app.name} keeps {human(size)} with this push, more than {human(settings.app_limit)} "
            "(PUSHLOG_APP_LIMIT); push less, delete branches and wait a minute, or raise the limit"
        )
    if not app.creator:
        return
    others = [known for known in ports.state.all() if known.creator == app.creator and known.id != app.id]
    if (size := size + sum(used(ports, other) for other in others)) > settings.key_limit:
        raise Full(
            f"key: the apps that {app.creator.partition(' ')[0]} created keep {human(size)} with this push, more than "
            f"{human(settings.key_limit)} (PUSHLOG_KEY_LIMIT); push less, destroy one with --now, or raise the limit"
        )


def used(ports: Ports, app: App) -> int:
    """The bytes that an app's repository takes on the disk, and what its builds and failed deploys printed."""
    return taken(ports.settings.home / FOLDER / f"{app.id}.git") + printed(ports.blobs, app.outputs)


def taken(folder: Path) -> int:
    """What the files and folders below a folder take on the disk; 0 when it is not there."""
    total = 0
    for base, folders, files in os.walk(folder):
        time.sleep(0)  # others have a turn
        total += sum(blocks(os.path.join(base, name)) for name in (*folders, *files))
    return BLOCK * total


def printed(blobs: Blobs, outputs: set[str]) -> int:
    """What blobs take on the disk."""
    return BLOCK * sum(blocks_of_blob(str(blobs.place(digest))) for digest in outputs)


@lru_cache(1 << 17)
def blocks_of_blob(path: str) -> int:
    """The blocks of what never changes."""
    return blocks(path)


def blocks(path: str) -> int:
    """The blocks of a file or folder; 0 when it went."""
    try:
        return os.lstat(path).st_blocks
    except FileNotFoundError:
        return 0
