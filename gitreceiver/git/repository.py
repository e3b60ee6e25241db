"""One bare repository per app, by the app's uuid, so that a rename touches nothing on disk.

On disk stand objects and `refs/pushlog/pushes/<id>`, which keep them from `git gc`. The refs that clients see are
not on disk: they are a fold of the log, given to each call as a mapping.
"""

import fcntl
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from dulwich.object_store import DiskObjectStore
from dulwich.refs import HEADREF, DictRefsContainer, Ref
from dulwich.repo import BaseRepo, Repo
from dulwich.server import Backend, BackendRepo, DictBackend

from services import disk, files
from services.errors import BadInput
from services.names import COMMIT_PATTERN, UUID_PATTERN, matches, shown

PUSHES = "refs/pushlog/pushes"
INCOMING = "incoming"
NOWHERE = "refs/pushlog/nowhere"
FOLDER = "repositories"
LOOK = 0.1
"""Seconds between looks at a lock that another has."""


@dataclass(frozen=True, slots=True)
class Repository:
    """The bare repository at `path`. Make one with `repository`.

    `room` raises BadPack when it keeps more than it may by now.
    """

    path: Path
    room: Callable[[], object] = bool

    @property
    def objects(self) -> Path:
        """The folder of its objects."""
        return self.path / "objects"

    @property
    def incoming(self) -> Path:
        """Where packs wait to be judged, on the same file system as `objects`."""
        return self.path / INCOMING

    @contextmanager
    def store(self) -> Iterator[DiskObjectStore]:
        """Its objects, open for the length of a `with`, in which it is not compacted."""
        with self._locked(fcntl.LOCK_SH, math.inf):
            store = DiskObjectStore(str(self.objects))
            try:
                yield store
            finally:
                store.close()

    @contextmanager
    def alone(self, patience: float = 0.0) -> Iterator[int | None]:
        """Open its objects to nobody else during the `with`. None when others have them open for so many seconds.

        What is given is the lock: it lasts on in a program that inherits it, should this process die.
        """
        with self._locked(fcntl.LOCK_EX, patience) as lock:
            yield lock

    @contextmanager
    def _locked(self, how: int, patience: float) -> Iterator[int | None]:
        """Lock the repository's folder among all processes, if need be once others let go of it."""
        descriptor, until = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY), time.monotonic() + patience
        try:
            while not (locked := _flock(descriptor, how)) and time.monotonic() < until:
                time.sleep(LOOK)
            yield descriptor if locked else None
        finally:
            os.close(descriptor)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder beside the objects, locked while this process lives, and gone at the end: see clean_quarantines."""
        path = self.incoming / os.urandom(8).hex()
        with disk.answering(self.path):
            path.mkdir(mode=0o700, parents=True)
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)

    @contextmanager
    def view(self, refs: Mapping[str, str], head: str | None) -> Iterator[Path]:
        """A repository of these objects with exactly these refs, HEAD pointing to the ref `head` if it is there.

        For the length of the `with`, in which the objects are not compacted.
        """
        with self._locked(fcntl.LOCK_SH, math.inf), self.folder() as path, disk.answering(self.path):
            for below in ("objects/info", "refs"):
                (path / below).mkdir(parents=True)
            (path / "objects/info/alternates").write_text(f"{self.objects}\n")
            (path / "HEAD").write_text(f"ref: {head if head in refs else NOWHERE}\n")
            lines = "".join(f"{commit} {ref}\n" for ref, commit in sorted(refs.items()))
            (path / "packed-refs").write_text(f"# pack-refs with: sorted \n{lines}")
            yield path

    def hold(self, push: str, commit: str) -> None:
        """Keep `commit` and its history from being garbage-collected, durably, under the push's id."""
        if not matches(UUID_PATTERN, push) or not matches(COMMIT_PATTERN, commit):
            raise BadInput(f"push: {shown(push)} at {shown(commit)} cannot be held; allowed are a uuid and a commit id")
        folder = self.path / PUSHES
        folder.mkdir(parents=True, exist_ok=True)
        files.replace(folder / push, commit.encode() + b"\n", mode=0o644)

    def held(self) -> dict[str, str]:
        """The commits that are held, by the pushes that brought them."""
        return {path.name: path.read_text().strip() for path in (self.path / PUSHES).glob("[0-9a-f]*")}

    def release(self, push: str) -> None:
        """No longer keep what `push` brought; nothing happens when it is not held."""
        (self.path / PUSHES / push).unlink(missing_ok=True)


def _flock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def repository(home: Path, app: str) -> Repository:
    """The repository of the app with the uuid `app` in the instance's `home`, made when it is not there.

    Raises Unavailable when the disk does not take it.
    """
    if not matches(UUID_PATTERN, app):
        raise BadInput(f"app: {shown(app)} is not an app's uuid; allowed is a uuid in lower case")
    root = home / FOLDER
    path = root / f"{app}.git"
    if not path.exists():
        with disk.answering(home):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(root / f".{app}.{os.getpid()}.{os.urandom(4).hex()}", path)
            files.sync_folder(root)
    return Repository(path)


def _make(fresh: Path, path: Path) -> None:
    """Make a repository at `path`, by way of `fresh`, unless another push of the same new app is first."""
    try:
        initialised(fresh).path.rename(path)
    except BaseException as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if not isinstance(error, OSError) or not path.exists():
            raise


def initialised(path: Path) -> Repository:
    """A new bare repository in the folder `path`, which is made."""
    Repo.init_bare(str(path), mkdir=True).close()
    return Repository(path)


def repositories(home: Path) -> Iterator[tuple[str, Path]]:
    """Each repository in the instance's `home`: its app's uuid and its path."""
    for path in sorted((home / FOLDER).glob("[0-9a-f]*.git")):
        yield path.stem, path


def view(store: DiskObjectStore, refs: Mapping[str, str], head: str | None = None) -> Backend:
    """`store` for dulwich's handlers, with exactly these refs, and HEAD pointing to the ref `head` if it is there."""
    container = DictRefsContainer({Ref(name.encode()): commit.encode() for name, commit in refs.items()})
    if head is not None and head in refs:
        container.set_symbolic_ref(HEADREF, Ref(head.encode()))
    return DictBackend({"": cast(BackendRepo, BaseRepo(store, container))})
