"""How large a commit's tree is when it is written out, without writing it out: each distinct folder is looked at once.

A folder may be named many times over, so a few KB can stand for more files than there are atoms; here that is
arithmetic. Whatever is dangerous about a name is refused: `.git` in all its disguises, ways up and out, names that no
file system takes.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from services.disk import human
from services.errors import BadInput
from services.terminal import shown

if TYPE_CHECKING:  # importing it takes longer than most checks do
    from services.settings import Settings

MAX_ENTRIES = 200_000
MAX_DEPTH = 300
MAX_NAME = 255
MAX_PATH = 4000
NAMED = 20
"""Submodules that are named; of others there is the number."""
BLOCK = 512
"""A tar's."""
HFS_IGNORED = {*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF}
"""Code points that HFS+ leaves out of a name: `.g\\u200cit` is `.git` to it."""
PLAIN = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Objects(Protocol):
    """Where objects are read. Ids are 20 bytes."""

    def commit(self, id_: str) -> tuple[bytes, int]:
        """The tree of a commit, and its time. Raises BadInput for what is none."""

    def tree(self, id_: bytes) -> bytes:
        """A tree as it is stored. Raises BadInput for what is none."""

    def sizes(self, ids: Sequence[bytes]) -> list[int]:
        """The sizes of files. Raises BadInput when one is not there."""

    def files(self, ids: Sequence[bytes]) -> Iterator[bytes]:
        """The contents of files, which are small."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a tree may be: bytes of one file and of all, number of entries, folders within folders."""

    file: int
    total: int
    entries: int = MAX_ENTRIES
    depth: int = MAX_DEPTH

    @classmethod
    def of(cls, settings: "Settings") -> "Limits":
        """The limits that the operator set."""
        return cls(settings.file_limit, settings.tree_limit)


@dataclass(slots=True)
class Measure:
    """Of a folder with all below it: entries, bytes in files and in a tar, folders within folders, the longest path.

    `large` is a file beyond the limit, `link` a symlink that leads nowhere.
    """

    entries: int = 0
    total: int = 0
    tar: int = 0
    depth: int = 0
    longest: int = 0
    large: tuple[int, bytes] | None = None
    link: bytes | None = None
    submodules: list[bytes] = field(default_factory=list)
    more: int = 0


Entry = tuple[bytes, int, bytes]
"""Name, mode, id."""


class Measures:
    """The measures of the folders of one push."""

    def __init__(self, objects: Objects, limits: Limits) -> None:
        self._objects = objects
        self._limits = limits
        self._known: dict[bytes, Measure] = {}
        self._refused: dict[bytes, BadInput] = {}

    def of(self, root: bytes) -> Measure:
        """The measure of a whole tree. Raises BadInput for an unsafe name, a broken tree or one beyond the limits."""
        if root in self._refused:
            raise self._refused[root]
        try:
            return self._within(self._measure(root))
        except BadInput as error:
            self._refused[root] = error
            raise

    def _measure(self, root: bytes) -> Measure:
        fresh = self._read(root)
        files = list({id_ for entries in fresh.values() for _, mode, id_ in entries if is_file(mode)})
        sizes = dict(zip(files, self._objects.sizes(files), strict=True))
        links = {id_ for entries in fresh.values() for _, mode, id_ in entries if stat.S_ISLNK(mode)}
        usable = [id_ for id_ in links if 0 < sizes[id_] <= MAX_PATH]
        nowhere = links.difference(usable) | {
            id_ for id_, target in zip(usable, self._objects.files(usable), strict=True) if b"\0" in target
        }
        for id_, entries in fresh.items():
            self._known[id_] = self._sum(entries, sizes, nowhere)
        return self._known[root]

    def _read(self, root: bytes) -> dict[bytes, list[Entry]]:
        """The folders that are not known yet, each after all that are in it."""
        read: dict[bytes, list[Entry]] = {}
        ordered: dict[bytes, list[Entry]] = {}
        stack, count = [root], 0
        while stack:
            id_ = stack[-1]
            if id_ in ordered or id_ in self._known:
                stack.pop()
                continue
            if id_ in read:
                ordered[stack.pop()] = read[id_]
                continue
            read[id_] = list(islice(parsed(id_, self._objects.tree(id_)), self._limits.entries + 1))
            count += len(read[id_])
            self._few(count)
            stack.extend({each for _, mode, each in read[id_] if stat.S_ISDIR(mode)})
        return ordered

    def _sum(self, entries: list[Entry], sizes: Mapping[bytes, int], nowhere: set[bytes]) -> Measure:
        found = Measure(entries=len(entries), tar=BLOCK * len(entries), depth=1 if entries else 0)
        for name, mode, id_ in entries:
            if stat.S_ISDIR(mode):
                add(found, name + b"/", self._known[id_])
            elif is_file(mode):
                size = sizes[id_]
                found.total += size
                found.tar += -(-size // BLOCK) * BLOCK
                found.longest = max(found.longest, len(name))
                if size > self._limits.file:
                    found.large = found.large or (size, name)
                if stat.S_ISLNK(mode) and id_ in nowhere:
                    found.link = found.link or name
            elif len(found.submodules) < NAMED:
                found.submodules.append(name)
            else:
                found.more += 1
        return found

    def _few(self, count: int) -> None:
        if count > (most := self._limits.entries):
            raise BadInput(f"tree: it has more than {most} files and folders; use fewer")

    def _within(self, found: Measure) -> Measure:
        limits = self._limits
        self._few(found.entries)
        if found.depth > limits.depth:
            raise BadInput(f"tree: folders are more than {limits.depth} deep; use fewer levels")
        if found.large:
            size, path = found.large
            raise BadInput(f"file: {named(path)} has {human(size)}; use at most {human(limits.file)}")
        if found.longest > MAX_PATH:
            raise BadInput(f"tree: a path has {found.longest} bytes; use at most {MAX_PATH}")
        if found.total > limits.total:
            raise BadInput(f"tree: it has more than {human(limits.total)} unpacked; push less")
        return found


def add(found: Measure, folder: bytes, below: Measure) -> None:
    """Count what is in a folder."""
    found.entries += below.entries
    found.total += below.total
    found.tar += below.tar
    found.depth = max(found.depth, 1 + below.depth)
    if below.longest:
        found.longest = max(found.longest, len(folder) + below.longest)
    if below.large:
        found.large = found.large or (below.large[0], cut(folder + below.large[1]))
    if below.link:
        found.link = found.link or cut(folder + below.link)
    names = below.submodules[: NAMED - len(found.submodules)]
    found.submodules += [cut(folder + name) for name in names]
    found.more += below.more + len(below.submodules) - len(names)


def cut(path: bytes) -> bytes:
    """A path that is short enough to be told: folders within folders without end would make a long one."""
    return path[:MAX_PATH]


def named(path: bytes) -> str:
    """A path in a sentence."""
    return shown(os.fsdecode(path))


def unusable(link: str) -> BadInput:
    """Why a tree with this symlink is refused: no build could have it."""
    return BadInput(f"tree: the symlink {shown(link)} has no usable target; use a path as its target")


def is_file(mode: int) -> bool:
    """Whether an entry has content of its own."""
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def parsed(id_: bytes, raw: bytes) -> Iterator[Entry]:
    """The entries of a tree. Raises BadInput for one that is broken or has an unsafe name."""
    at = 0
    while at < len(raw):
        space = raw.find(b" ", at)
        nul = raw.find(b"\0", space)
        if space < 0 or nul < 0 or len(raw) < nul + 21 or not 0 < space - at <= 6:
            raise BadInput(f"tree: {id_.hex()} is not a tree; push from an intact repository")
        name = raw[space + 1 : nul]
        if unsafe(name):
            raise BadInput(f"unsafe path in tree {id_.hex()}: {named(name)} is refused")
        if len(name) > MAX_NAME:
            raise BadInput(f"tree: a name in {id_.hex()} has {len(name)} bytes; use at most {MAX_NAME}")
        try:
            mode = int(raw[at:space], 8)
        except ValueError:
            raise BadInput(f"tree: {id_.hex()} is not a tree; push from an intact repository") from None
        yield name, mode, raw[nul + 1 : nul + 21]
        at = nul + 21


def unsafe(name: bytes) -> bool:
    """Whether a tree entry's name could escape its folder or pass for `.git` on some file system."""
    if PLAIN.fullmatch(name):
        return False
    if name in (b"", b".", b"..") or any(byte in name for byte in b"/\\\0"):
        return True
    text = name.decode("utf-8", "replace")
    visible = "".join(c for c in text if ord(c) not in HFS_IGNORED)
    return any(form.partition(":")[0].rstrip(" .").lower() in (".git", "git~1") for form in (text, visible))
