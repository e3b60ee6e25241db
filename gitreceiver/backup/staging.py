"""A backup that is read: unpacked beside the instance, and checked whole before anything of it counts."""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dulwich.objects import ObjectID

from gitreceiver.backup import images, replay, sealing
from gitreceiver.backup.archive import BLOB, EVENTS, IMAGES, KEYRING, PACK, BadBackup, Part, Read, Reader
from gitreceiver.backup.wanted import App, Wanted
from gitreceiver.git.indexing import BadPack, check_connected, index
from gitreceiver.git.program import has_git
from gitreceiver.git.quarantine import Replay
from gitreceiver.git.repository import FOLDER, Repository, initialised
from services import database, disk
from services.chain import Head
from services.errors import BrokenLog
from services.eventlog import SqlLog

LOGS = 4
"""How often a log that is imported is on the disk: here, and each once more in what SQLite writes ahead of a file."""
HIDDEN, FOLDERS = ".import", (FOLDER, "blobs")


@dataclass
class Staged:
    """A backup that is sound. `log` holds its events, `keys` the data keys, `wanted` what its apps need.

    `repositories` by the app's uuid and `blobs` by their digest lie where a rename brings them into place; where the
    backup is only looked at, blobs have no file.
    """

    head: Head
    log: SqlLog
    keys: dict[str, bytes]
    wanted: Wanted
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, Path | None] = field(default_factory=dict)
    images: Path | None = None
    parts: int = 2


class Room:
    """Folders for one backup below the home, each on the file system that its content is for.

    They are this process's for as long as it lives: see `clean`.
    """

    def __init__(self, home: Path) -> None:
        name = os.urandom(8).hex()
        self.repositories, self.blobs = (home / folder / HIDDEN / name for folder in FOLDERS)
        for folder in (self.blobs, self.repositories):
            folder.mkdir(mode=0o700, parents=True)
        self._lock = os.open(self.repositories, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove what is left in them."""
        for folder in (self.blobs, self.repositories):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(self._lock)


def clean(home: Path) -> None:
    """Remove what imports of dead processes left."""
    for left in (home / FOLDER / HIDDEN).glob("*"):
        descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(home / "blobs" / HIDDEN / left.name, ignore_errors=True)
            shutil.rmtree(left)
        except BlockingIOError:
            continue  # its process lives
        finally:
            os.close(descriptor)


@contextmanager
def staged(home: Path, read: Read, passphrase: str | None, keep: bool) -> Iterator[Staged]:
    """The backup that `read` gives, while the block runs; of blobs only their digests, unless `keep`.

    Raises BadBackup for what is damaged, newer or no backup, Refused for a passphrase that does not open it, and
    Unavailable when the disk has no room.
    """
    with disk.answering(home):
        room = Room(home)
        engine = database.connect(f"sqlite:///{room.repositories}/log.sqlite")
        try:
            yield _unpack(Reader(read), SqlLog(engine), passphrase, room, keep)
        finally:
            engine.dispose()
            room.remove()


def _unpack(reader: Reader, log: SqlLog, passphrase: str | None, room: Room, keep: bool) -> Staged:
    each = reader.parts()
    head = _take_events(_expected(each, EVENTS), log, reader, room, LOGS if keep else 2)
    wanted = replay.replay(log)
    keys = sealing.opened(_expected(each, KEYRING).json(sealing.most(len(wanted.apps))), passphrase)
    found = Staged(head, log, keys, wanted)
    expected = {*wanted.names(), IMAGES}
    if keys.keys() - wanted.apps.keys():
        raise BadBackup("the backup is damaged: its keyring has a key of no app")
    for part in each:
        found.parts += 1
        if part.name not in expected:  # so what is kept in memory of parts is no more than of the events
            raise BadBackup(f"the backup is damaged: {part.name} is of no app, or stands in the wrong place")
        if pack := re.fullmatch(PACK, part.name):
            found.repositories[pack[1]] = _take_pack(part, room.repositories / f"{pack[1]}.git")
        elif blob := re.fullmatch(BLOB, part.name):
            found.blobs[f"sha256:{blob[1]}"] = _take_blob(part, blob[1], room.blobs / blob[1] if keep else None)
        else:
            found.images = _take_images(part, room.repositories / IMAGES)
    for app, repository in found.repositories.items():
        _check_objects(found.wanted.apps.get(app), repository)
    return found


def _expected(each: Iterator[Part], name: str) -> Part:
    part = next(each, None)
    if part is None or part.name != name:
        raise BadBackup(f"the backup is damaged: {name} is not where it should be")
    return part


def _take_events(part: Part, log: SqlLog, reader: Reader, room: Room, times: int) -> Head:
    """Make `log` that of the backup, if the disk takes it so many `times`.

    Raises BadBackup unless it is whole and ends as the header says.
    """
    disk.require(room.repositories, times * part.size)
    try:
        head = log.adopt(replay.rows(part.chunks), {})
    except BrokenLog as error:
        raise BadBackup(f"the backup is damaged: {error}") from None
    if reader.about.get("head") != head._asdict():
        raise BadBackup(f"the backup is damaged: its events end at {head.position}:{head.hash}, not where it says")
    return head


def _take_pack(part: Part, path: Path) -> Repository:
    """The repository at `path` with the objects of a pack. Raises BadBackup."""
    disk.require(path.parent, part.size)
    repository, source = initialised(path), Replay(b"", _reading(part))
    try:
        index(source.read, repository.objects, repository.path, part.size, has_git(), whole=True)
    except BadPack as error:
        raise BadBackup(f"the backup is damaged: {part.name}: {error}") from None
    kept = sum(path.stat().st_size for path in (repository.objects / "pack").glob("*.pack"))
    if source.read(1) or kept != part.size:  # git reads past a pack's end, and says nothing
        raise BadBackup(f"the backup is damaged: {part.name} goes on behind its end")
    return repository


def _reading(part: Part) -> Read:
    """The bytes of a part, as many at a time as are asked for."""
    rest = b""

    def read(size: int) -> bytes:
        nonlocal rest
        rest = rest or next(part.chunks, b"")
        data, rest = rest[:size], rest[size:]
        return data

    return read


def _take_blob(part: Part, digest: str, path: Path | None) -> Path | None:
    """Put a blob at `path`, if there is one. Raises BadBackup for one that its name is not the digest of."""
    total = hashlib.sha256()
    if path is None:
        for chunk in part.chunks:
            total.update(chunk)
    else:
        _write(part, path, total.update)
    if total.hexdigest() != digest:
        raise BadBackup(f"the backup is damaged: {part.name} is another one than its name says")
    return path


def _take_images(part: Part, path: Path) -> Path:
    """Put images at `path`. Raises BadBackup for what Docker must not load."""
    _write(part, path, lambda chunk: None)
    images.check(path)
    return path


def _write(part: Part, path: Path, also: Callable[[bytes], None]) -> None:
    """Put a part at `path`, durably."""
    disk.require(path.parent, part.size)
    with path.open("xb") as file:
        for chunk in part.chunks:
            also(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _check_objects(app: App | None, repository: Repository) -> None:
    """Raise BadBackup unless all that the app's commits in the repository reach is there, too."""
    there = sorted({commit for _, commit in held(app, repository)}) if app else []
    try:
        if has_git() and there:
            check_connected(repository.objects, repository.path, there, ())
    except BadPack as error:
        raise BadBackup(f"the backup is damaged: an app's commits are not whole: {error}") from None


def held(app: App, repository: Repository) -> list[tuple[str, str]]:
    """The commits that an app was pushed and that are in its repository, with the ids that they are held under."""
    with repository.store() as store:
        return [(push, commit) for push, commit in app.held.items() if ObjectID(commit.encode()) in store]
