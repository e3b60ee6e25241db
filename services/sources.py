"""Pushed trees as tars, each for as long as a build wants it: gitreceiver makes them of git objects, the builder reads
and removes them.

A tar is a cache. It is keyed by its app and push, not by its content; it need not outlive a power cut.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from services.disk import answering


class Sources:
    """The tars in `folder`, which the services share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, app: str, push: str) -> Path:
        """Where the tar of a push is, once it is whole."""
        return self._folder / f"{app}.{push}"

    def put(self, app: str, push: str, write: Callable[[BinaryIO], object]) -> None:
        """Store what `write` writes. Raises Unavailable, and nothing is left, when the disk does not take it."""
        temporary = self._temporary()
        with answering(self._folder):
            try:
                with temporary.open("xb") as file:
                    write(file)
                temporary.rename(self.path(app, push))
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    def link(self, app: str, push: str, tar: Path) -> None:
        """Store the file `tar`, which may be removed meanwhile. Raises FileNotFoundError when it is gone."""
        temporary = self._temporary()
        temporary.hardlink_to(tar)
        temporary.rename(self.path(app, push))

    def remove(self, app: str, push: str) -> None:
        """No build wants the tar of a push any more."""
        self.path(app, push).unlink(missing_ok=True)

    def remove_app(self, app: str) -> None:
        """Remove all tars of an app."""
        for known, push in self.there():
            if known == app:
                self.remove(app, push)

    def there(self) -> Iterator[tuple[str, str]]:
        """The app and push of each tar."""
        for path in sorted(self._folder.glob("[0-9a-f]*.*")):
            app, _, push = path.name.partition(".")
            yield app, push

    def clean(self) -> None:
        """Remove what a process that died while it wrote has left. Only one process may write by now."""
        for path in self._folder.glob(".*"):
            path.unlink(missing_ok=True)

    def _temporary(self) -> Path:
        return self._folder / f".{os.getpid()}.{os.urandom(8).hex()}"
