"""Where a push's pack waits until it is judged: checked there, moved into the repository only when it is kept.

A quarantine is a folder beside the repository's objects, locked while its process lives. Whatever happens, the
objects of a refused push are gone with it.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID

from gitreceiver.git import checking, indexing, program
from gitreceiver.git.checking import Found
from gitreceiver.git.indexing import BadPack, Read
from gitreceiver.git.measure import Limits
from gitreceiver.git.repository import INCOMING, Repository, repositories
from services import disk, files
from services.errors import Unavailable

PACK_HEADER = 12
PACK_TRAILER = 20
HASHED_AT_ONCE = 1 << 20
ROOM_EVERY = disk.RESERVE // 4
"""After how many bytes of a pack it is looked again whether the disk has room."""


class Quarantine:
    """One push's objects over those of its repository; a context manager, gone at its end."""

    def __init__(self, repository: Repository, with_git: bool | None = None) -> None:
        self.repository = repository
        self._with_git = program.has_git() if with_git is None else with_git
        self._store: DiskObjectStore | None = None
        self.pack: str | None = None
        """The digest of the pack file that was kept, as `sha256:<hex>`; None while there is none."""
        self.found: dict[str, Found] = {}
        self.path = repository.incoming / os.urandom(8).hex()
        with disk.answering(repository.path):
            self.path.mkdir(mode=0o700, parents=True)
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                for folder in ("pack", "info"):
                    (self.path / folder).mkdir()
                (self.path / "info" / "alternates").write_text(f"{repository.objects}\n")
            except BaseException:
                self.__exit__(None, None, None)
                raise

    @property
    def store(self) -> DiskObjectStore:
        """The new objects and the repository's own, to read. Closed with the quarantine."""
        if self._store is None:
            self._store = DiskObjectStore(str(self.path))
        return self._store

    def take(self, read_all: Read, read: Read, limit: int) -> None:
        """Take a pack of at most `limit` bytes. `read_all(n)` gives n bytes, `read(n)` 1 to n.

        Raises BadPack, also when the repository may not keep it, or Unavailable when the disk has no room for it.
        """
        self._require_room()
        roomy = Roomy(read, self._require_room)
        try:
            with disk.answering(self.path):
                self._take(read_all, roomy.read, limit)
        except BadPack as error:
            raise roomy.refusal or error from None
        self.repository.room()  # a thin pack was completed since

    def _require_room(self) -> None:
        disk.require(self.path)
        self.repository.room()

    def _take(self, read_all: Read, read: Read, limit: int) -> None:
        header = read_all(PACK_HEADER)
        if len(header) < PACK_HEADER or header[:4] != b"PACK":
            raise BadPack("bad pack: it does not begin as one")
        if header[8:] == bytes(4):  # nothing new: a branch or tag on a commit that is here
            read_all(PACK_TRAILER)
        else:
            indexing.index(Replay(header, read).read, self.path, self.repository.path, limit, self._with_git)

    def check_connected(self, new: Sequence[str], refs: Mapping[str, str]) -> None:
        """Raise BadPack unless the whole history of the commits `new` is there. `refs` are the ones known to be."""
        if self._with_git and new:
            known = sorted({commit for commit in refs.values() if ObjectID(commit.encode()) in self.store})
            indexing.check_connected(self.path, self.repository.path, new, known)

    def look(self, refs: Mapping[str, str], limits: Limits) -> dict[str, str]:
        """Look at what refs lead to; returns which are refused, and why. `found` has the others from then on."""
        if refs:
            answers = checking.look(self.repository.path, self.path, refs, limits, self._with_git)
            self.found |= {ref: answer for ref, answer in answers.items() if isinstance(answer, Found)}
            return {ref: answer for ref, answer in answers.items() if isinstance(answer, str)}
        return {}

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether the commit `old` is `new`, or in its history."""
        return indexing.is_ancestor(self.path, self.repository.path, old, new, self._with_git)

    def keep(self, push: str, commit: str) -> None:
        """Make the objects the repository's own and hold `commit` for the push's id. Durable when it returns.

        Raises Unavailable when the disk does not take them.
        """
        with disk.answering(self.repository.path):
            self._keep_packs()
            self.repository.hold(push, commit)

    def _keep_packs(self) -> None:
        packs = sorted((self.path / "pack").glob("*.pack"))
        target = self.repository.objects / "pack"
        for pack in packs:
            for file in (
                pack,
                *pack.parent.glob(f"{pack.stem}.rev"),
                pack.with_suffix(".idx"),
            ):  # readable once .idx is
                _move(file, target / file.name)
        if packs:
            self._close()
            files.sync_folder(target)
            self.pack = digest(target / packs[0].name)

    def __enter__(self) -> "Quarantine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        shutil.rmtree(self.path)
        os.close(self._lock)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


def clean_quarantines(home: Path) -> int:
    """Remove what dead processes left in the repositories of `home`; returns how many there were."""
    removed = 0
    for left in (quarantine for _, path in repositories(home) for quarantine in (path / INCOMING).glob("*")):
        descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
            removed += 1
        except BlockingIOError:
            continue  # its process lives
        finally:
            os.close(descriptor)
    return removed


def digest(path: Path) -> str:
    """The SHA-256 of a file as `sha256:<hex>`; others have a turn meanwhile."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASHED_AT_ONCE):
            total.update(chunk)
            time.sleep(0)
    return f"sha256:{total.hexdigest()}"


class Roomy:
    """A reader that ends early, and has a `refusal` from then on, when there is no room for what is read.

    `require` raises Unavailable or BadPack when there is none.
    """

    def __init__(self, read: Read, require: Callable[[], None]) -> None:
        self._read = read
        self._require = require
        self._unchecked = 0
        self.refusal: Unavailable | BadPack | None = None

    def read(self, size: int) -> bytes:
        """1 to `size` bytes; none at the end."""
        if self._unchecked >= ROOM_EVERY:
            self._unchecked = 0
            try:
                self._require()
            except (BadPack, Unavailable) as error:
                self.refusal = error
                return b""
        data = self._read(size)
        self._unchecked += len(data)
        return data


class Replay:
    """A reader with what was read already put back in front."""

    def __init__(self, start: bytes, read: Read) -> None:
        self._start = start
        self._read = read

    def read(self, size: int) -> bytes:
        """1 to `size` bytes; none at the end."""
        if not self._start:
            return self._read(size)
        data, self._start = self._start[:size], self._start[size:]
        return data

    def read_all(self, size: int) -> bytes:
        """`size` bytes; fewer at the end."""
        chunks = []
        while size and (chunk := self.read(size)):
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)


def _move(source: Path, target: Path) -> None:
    """Move a finished file durably; one that is there already is the same pack."""
    descriptor = os.open(source, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    source.rename(target)
