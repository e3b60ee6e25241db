"""A commit's tree: walked without ever being checked out, checked, and written as a tar.

Whatever is dangerous about a name is refused here: `.git` in all its disguises, ways up and out, names that no file
system takes. Symlinks stay symlinks and are never followed.
"""

import os
import stat
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

from dulwich.object_store import BaseObjectStore
from dulwich.objects import Commit, ObjectID, Tag, Tree

from gitreceiver.git.measure import MAX_NAME, MAX_PATH, unsafe
from gitreceiver.git.measure import Limits as Limits
from gitreceiver.git.objects import Sizes
from services.disk import human
from services.errors import BadInput
from services.names import shown

MAX_TIME = 0o77777777777
TURN = 0.02
"""Seconds of work after which others have a turn: a large tree is many of them."""


class Sink(Protocol):
    """Anything to write a tar to."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree; `path` is the whole path as the bytes git stores, `size` 0 for what is not a file."""

    path: bytes
    mode: int
    sha: ObjectID
    size: int


def commit_of(store: BaseObjectStore, sha: str) -> Commit | None:
    """The commit that `sha` is, or that the tag `sha` leads to; None when it is neither."""
    thing = store[ObjectID(sha.encode())]
    for _ in range(10):
        if not isinstance(thing, Tag):
            break
        thing = store[thing.object[1]]
    return thing if isinstance(thing, Commit) else None


def walk(store: BaseObjectStore, commit: Commit, limits: Limits, seen: set[ObjectID] | None = None) -> Iterator[Entry]:
    """Every entry of the commit's tree, folders before what is in them, in git's order.

    Folders in `seen` are left out and walked ones added to it. Raises BadInput for an unsafe name, a broken tree or
    one beyond `limits`.
    """
    sizes = Sizes(store)
    stack = [(b"", 0, commit.tree)]
    count = total = 0
    due = time.monotonic() + TURN
    while stack:
        folder, depth, tree_id = stack.pop()
        if seen is not None:
            if tree_id in seen:
                continue
            seen.add(tree_id)
        entries = list(_entries(store, tree_id))
        count += len(entries)
        if count > limits.entries:
            raise BadInput(f"tree: more than {limits.entries} files and folders; allowed are {limits.entries}")
        if entries and depth >= limits.depth:
            raise BadInput(f"tree: folders more than {limits.depth} deep; allowed are {limits.depth}")
        below = []
        for name, mode, sha in entries:
            if time.monotonic() > due:
                time.sleep(0)
                due = time.monotonic() + TURN
            path = folder + name
            size = _size(sizes, path, sha, limits) if stat.S_ISREG(mode) or stat.S_ISLNK(mode) else 0
            total += size
            if total > limits.total:
                raise BadInput(f"tree: larger than {human(limits.total)} unpacked; allowed are {human(limits.total)}")
            yield Entry(path, mode, sha, size)
            if stat.S_ISDIR(mode):
                below.append((path + b"/", depth + 1, sha))
        stack.extend(reversed(below))


def _entries(store: BaseObjectStore, tree_id: ObjectID) -> Iterator[tuple[bytes, int, ObjectID]]:
    tree = store[tree_id]
    if not isinstance(tree, Tree):
        raise BadInput(f"tree: {tree_id.decode()} is not a tree; push from an intact repository")
    for name, mode, sha in tree.iteritems():
        if name is None or mode is None or sha is None or unsafe(name):
            raise BadInput(f"unsafe path in tree {tree_id.decode()}: {shown(os.fsdecode(name or b''))} is refused")
        if len(name) > MAX_NAME:
            raise BadInput(f"tree: a name of {len(name)} bytes in {tree_id.decode()}; allowed are {MAX_NAME}")
        yield name, mode, sha


def _size(sizes: Sizes, path: bytes, sha: ObjectID, limits: Limits) -> int:
    size = sizes.of(sha)
    if size > limits.file:
        raise BadInput(f"file: {shown(os.fsdecode(path))} has {human(size)}; allowed are {human(limits.file)}")
    if len(path) > MAX_PATH:
        raise BadInput(f"tree: a path of {len(path)} bytes; allowed are {MAX_PATH}")
    return size


def write_tar(store: BaseObjectStore, commit: str, sink: Sink, limits: Limits) -> list[str]:
    """Write the tree of `commit` to `sink` as an uncompressed tar that depends on nothing but the commit.

    Times are the commit's, owners root, modes 644 and 755, names byte-exact. Returns the paths of submodules, which
    are left out. Raises BadInput as `walk` does; what was written until then is useless.
    """
    found = commit_of(store, commit)
    if found is None:
        raise BadInput(f"commit: {shown(commit)} is not a commit; allowed are commits")
    submodules = []
    with tarfile.open(
        fileobj=sink,
        mode="w|",
        format=tarfile.GNU_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",  # type: ignore[call-overload]
    ) as tar:
        for entry in walk(store, found, limits):
            info = tarfile.TarInfo(os.fsdecode(entry.path))
            info.mtime = min(max(found.commit_time, 0), MAX_TIME)
            info.mode = 0o755 if stat.S_ISDIR(entry.mode) or entry.mode & 0o100 else 0o644
            if stat.S_ISDIR(entry.mode):
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif stat.S_ISLNK(entry.mode):
                info.type, info.mode = tarfile.SYMTYPE, 0o777
                info.linkname = os.fsdecode(_target(store, entry))
                tar.addfile(info)
            elif stat.S_ISREG(entry.mode):
                info.size = entry.size
                tar.addfile(info, BytesIO(store.get_raw(entry.sha)[1]))
            else:
                submodules.append(os.fsdecode(entry.path))
    return submodules


def tar_size(store: BaseObjectStore, commit: str, limits: Limits) -> int:
    """About how many bytes `write_tar` writes. Raises BadInput as `walk` does."""
    found = commit_of(store, commit)
    block = tarfile.BLOCKSIZE
    entries = walk(store, found, limits) if found else iter(())
    return tarfile.RECORDSIZE + sum(block + -(-entry.size // block) * block for entry in entries)


def _target(store: BaseObjectStore, entry: Entry) -> bytes:
    target = store.get_raw(entry.sha)[1] if 0 < entry.size <= MAX_PATH else b""
    if not target or b"\0" in target:
        raise BadInput(f"tree: the symlink {shown(os.fsdecode(entry.path))} has no usable target; allowed is a path")
    return target
