"""Makes the tars that builds want, of what was pushed. A large tree takes a while: its asker asks again."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dulwich.objects import ObjectID

from gitreceiver.git import checking
from gitreceiver.git.measure import Limits
from gitreceiver.git.repository import FOLDER, Repository
from services.blobs import Blobs
from services.errors import BadInput, PushlogError, Refused
from services.settings import Settings
from services.sources import Sources

log = logging.getLogger("pushlog")

Tar = Callable[[Repository, str, BinaryIO, Path, Limits], None]
PATIENCE = 5.0
"""Seconds that an asker waits for a tar before it is told to ask again: less than the deadline of a question."""


class Push(NamedTuple):
    """Which tree: of an app's push (uuids), its commit, and the blob of the tar that pushes of old versions have."""

    app: str
    id: str
    commit: str
    blob: str


class Trees:
    """Fills `sources` by `tar`, in threads of this process, one for each push."""

    def __init__(self, settings: Settings, blobs: Blobs, sources: Sources, tar: Tar = checking.tar) -> None:
        self._tar = tar
        self._settings = settings
        self._blobs = blobs
        self._sources = sources
        self._making: dict[str, Making] = {}

    def ready(self, push: Push, patience: float = PATIENCE) -> bool:
        """Whether the tar of a push is there. If not it is being made: ask again.

        Raises BadInput for a tree that is refused, Refused when the commit is not kept, Unavailable when the disk does
        not take the tar.
        """
        if self._sources.path(push.app, push.id).exists():
            return True
        making = self._making.get(push.id)
        if making is None:
            making = self._making[push.id] = Making(lambda: self._make(push))
            making.start()
        making.join(patience)
        if making.is_alive():
            return False
        self._making.pop(push.id, None)
        if making.error:
            raise making.error
        return self._sources.path(push.app, push.id).exists()

    def _make(self, push: Push) -> None:
        if push.blob:
            with suppress(KeyError, FileNotFoundError):
                return self._sources.link(push.app, push.id, self._blobs.path(push.blob))
        home = self._settings.home
        repository = Repository(home / FOLDER / f"{push.app}.git")

        def write(file: BinaryIO) -> None:
            self._tar(repository, push.commit, file, home, Limits.of(self._settings))

        with suppress(FileNotFoundError), repository.store() as store:
            if ObjectID(push.commit.encode()) in store:
                return self._sources.put(push.app, push.id, write)
        raise Refused("what was pushed is not kept; push it again")


class Making(threading.Thread):
    """A tar that is being made, and the `error` that ended it."""

    def __init__(self, make: Callable[[], None]) -> None:
        super().__init__(name="source", daemon=True)
        self._make = make
        self.error: PushlogError | None = None

    def run(self) -> None:
        """Make it."""
        try:
            self._make()
        except PushlogError as error:
            self.error = error
        except Exception:  # of whatever kind: the asker hears of it, and the log has the details
            log.exception("a source could not be made")
            self.error = BadInput("the tree cannot be read; Pushlog's log has the details")
