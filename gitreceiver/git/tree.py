"""A commit's tree as a tar, without ever being checked out. Symlinks stay symlinks and are never followed.

As a process, `python -m gitreceiver.git.tree`, it takes a question as JSON on stdin, and ends with a sentence on stderr
and a code other than 0 for what is refused. It imports little, because every build waits for it.
"""

import json
import os
import stat
import sys
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from gitreceiver.git.measure import Entry, Limits, Measures, Objects, parsed, unusable
from gitreceiver.git.reading import opened
from services import disk
from services.errors import BadInput, Unavailable

MAX_TIME = 0o77777777777
REFUSED, NO_ROOM = 3, 4
"""Exit codes."""


class Sink(Protocol):
    """Anything to write a tar to."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""


def write_tar(
    objects: Objects, commit: str, sink: Sink, limits: Limits, require: Callable[[int], object] = bool
) -> None:
    """Write the tree of `commit` to `sink` as an uncompressed tar that depends on nothing but the commit.

    Times are the commit's, owners root, modes 644 and 755, names byte-exact. Submodules are left out.

    Before anything is written it raises BadInput as `Measures.of`, also for a symlink without a usable target, and what
    `require` raises, which is given the tar's size.
    """
    tree, when = objects.commit(commit)
    measure = Measures(objects, limits).of(tree)
    if measure.link is not None:
        raise unusable(os.fsdecode(measure.link))
    require(measure.tar + tarfile.RECORDSIZE)
    write(objects, tree, min(max(when, 0), MAX_TIME), sink)


def write(objects: Objects, tree: bytes, when: int, sink: Sink) -> None:
    """Write a tree that is within its limits."""
    with tarfile.open(
        fileobj=sink,
        mode="w|",
        format=tarfile.GNU_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",  # type: ignore[call-overload]
    ) as tar:
        for path, mode, id_ in walk(objects, tree):
            info = tarfile.TarInfo(os.fsdecode(path))
            info.mtime = when
            info.mode = 0o755 if stat.S_ISDIR(mode) or mode & 0o100 else 0o644
            if stat.S_ISDIR(mode):
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif stat.S_ISLNK(mode):
                info.type, info.mode = tarfile.SYMTYPE, 0o777
                info.linkname = os.fsdecode(*objects.files([id_]))
                tar.addfile(info)
            elif stat.S_ISREG(mode):
                (content,) = objects.files([id_])
                info.size = len(content)
                tar.addfile(info, BytesIO(content))


def walk(objects: Objects, tree: bytes) -> Iterator[Entry]:
    """Every entry of a tree by its whole path, folders before what is in them, in git's order."""
    stack = [(b"", tree)]
    while stack:
        folder, id_ = stack.pop()
        entries = [(folder + name, mode, below) for name, mode, below in parsed(id_, objects.tree(id_))]
        yield from entries
        stack.extend((path + b"/", below) for path, mode, below in reversed(entries) if stat.S_ISDIR(mode))


class Question(NamedTuple):
    """Which commit, within which limits, and in which folder the tar is to have room."""

    commit: str
    limits: dict[str, Any]
    folder: str
    git: bool


def answer(question: Question, sink: BinaryIO) -> None:
    """Write the tar. Raises Unavailable when there is no room for it."""
    require = partial(disk.require, Path(question.folder))
    write_tar(opened(question.git), question.commit, sink, Limits(**question.limits), require)


def main() -> None:
    """Answer on stdout."""
    try:
        answer(Question(**json.load(sys.stdin)), sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except (BadInput, Unavailable, OSError) as error:
        sys.stderr.write(f"fatal: {error}\n")
        sys.exit(REFUSED if isinstance(error, BadInput) else NO_ROOM)


if __name__ == "__main__":
    main()
