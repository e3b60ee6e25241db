"""A pushed tree, as a tar: checked once, then read and streamed, and never unpacked on the host."""

import hashlib
import posixpath
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Literal

from builder.errors import BuildRefused
from services.names import shown

MAX_MEMBERS = 100_000
MAX_PATH = 4095
MAX_NAME = 255
CHUNK = 256 * 1024

Kind = Literal["file", "link", "directory"]


@dataclass(frozen=True, slots=True)
class Member:
    """One file, symbolic link or directory of a tree. `offset` is where a file's bytes begin in the tar."""

    kind: Kind
    executable: bool
    size: int
    offset: int
    target: str
    mtime: int


class _Kept(FileIO):
    """A file that is open for as long as something reads it."""

    def __del__(self) -> None:
        self.close()


class Source:
    """A tree that is safe to hand to a container: relative paths only, each once, no devices, within the limits.

    Symbolic links are kept as they are, dangling or not, and are never followed here. The tar may be removed meanwhile.
    """

    def __init__(self, tar: BinaryIO, members: dict[str, Member]) -> None:
        self._tar = tar
        self._members = members
        self.names = frozenset(name for name in members if "/" not in name)
        """What stands at the root of the tree."""

    @classmethod
    def read(cls, path: Path, *, file_limit: int, tree_limit: int) -> "Source":
        """Check the uncompressed tar at `path`; the limits are in bytes, of one file and of all.

        Raises BuildRefused, naming the entry, for a tree that no container should see.
        """
        members: dict[str, Member] = {}
        total = 0
        kept = _Kept(path, "rb")
        try:
            with tarfile.open(fileobj=kept, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
                for info in tar:
                    tar.members = []  # type: ignore[attr-defined]  # or tarfile keeps every header in memory
                    member = _checked(info, file_limit)
                    total += member.size
                    if total > tree_limit:
                        raise BuildRefused(f"source: the tree is too large; allowed are {tree_limit} bytes")
                    if members.setdefault(info.name, member) is not member:
                        raise BuildRefused(f"source: {shown(info.name)} is there twice; allowed is each path once")
                    _count(members)
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise BuildRefused(f"source: the tar is damaged: {error}") from None
        return cls(kept, _with_parents(members))

    def is_file(self, name: str) -> bool:
        """Whether `name` is a regular file of the tree."""
        member = self._members.get(name)
        return member is not None and member.kind == "file"

    def read_file(self, name: str, *, limit: int) -> bytes:
        """The bytes of the regular file `name`. Raises BuildRefused for anything else, and beyond `limit` bytes."""
        member = self._members.get(name)
        if member is None:
            raise BuildRefused(f"{name}: there is none in the tree")
        if member.kind != "file":
            raise BuildRefused(f"{name}: this is a {member.kind}; allowed is a regular file")
        if member.size > limit:
            raise BuildRefused(f"{name}: this has {member.size} bytes; allowed are {limit}")
        self._tar.seek(member.offset)
        return self._tar.read(member.size)

    def digest(self, names: Collection[str] | None = None) -> str:
        """SHA-256, in hexadecimal, of the paths, kinds, modes and contents of `names`; of the whole tree for None."""
        total = hashlib.sha256()
        for name, member in self._selected(names):
            content = hashlib.sha256(member.target.encode(errors="surrogateescape"))
            for chunk in self._content(member):
                content.update(chunk)
            head = f"{len(name)} {name} {member.kind} {member.executable} {content.hexdigest()}\n"
            total.update(head.encode(errors="surrogateescape"))
        return total.hexdigest()

    def tar(self, *, owner: int, folder: str = "", names: Collection[str] | None = None) -> Iterator[bytes]:
        """A tar of `names` (the whole tree for None) in chunks, everything owned by `owner` as user and group id.

        Paths begin with `folder`, such as `app/`. Modes are 0755 for directories and executables and 0644 for other
        files, whatever the source says.
        """
        buffer = bytearray()
        for name, member in self._selected(names):
            buffer += _header(folder + name, member, owner)
            for chunk in self._content(member):
                buffer += chunk
                if len(buffer) >= CHUNK:
                    yield bytes(buffer)
                    buffer.clear()
            buffer += bytes(-member.size % tarfile.BLOCKSIZE)
        yield bytes(buffer) + bytes(2 * tarfile.BLOCKSIZE)

    def _content(self, member: Member) -> Iterator[bytes]:
        for start in range(0, member.size, CHUNK):
            self._tar.seek(member.offset + start)
            yield self._tar.read(min(CHUNK, member.size - start))

    def _selected(self, names: Collection[str] | None) -> Iterator[tuple[str, Member]]:
        wanted = self._members if names is None else set(names).union(*map(_parents, names))
        return ((name, self._members[name]) for name in sorted(wanted))


def _checked(info: tarfile.TarInfo, file_limit: int) -> Member:
    """The member that a header describes. Raises BuildRefused if its path, kind or size is not allowed."""
    path = info.name.encode(errors="surrogateescape")
    parts = path.split(b"/")
    if any(part in (b"", b".", b"..") for part in parts) or b"\0" in path:
        raise BuildRefused(f"source: unsafe entry {shown(info.name)}; allowed are paths within the tree")
    if len(path) > MAX_PATH or max(map(len, parts)) > MAX_NAME:
        raise BuildRefused(
            f"source: {shown(info.name)} is too long; allowed are {MAX_PATH} bytes, {MAX_NAME} between slashes"
        )
    kind = _kind(info)
    size = info.size if kind == "file" else 0
    if not 0 <= size <= file_limit:
        raise BuildRefused(f"source: {shown(info.name)} has {size} bytes; allowed are {file_limit}")
    if kind == "link" and (not info.linkname or "\0" in info.linkname):
        raise BuildRefused(f"source: {shown(info.name)} is a link without a target; allowed are whole links")
    target = info.linkname if kind == "link" else ""
    return Member(kind, bool(info.mode & 0o111), size, info.offset_data, target, max(0, int(info.mtime)))


def _kind(info: tarfile.TarInfo) -> Kind:
    if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.issparse():
        return "file"
    if info.type == tarfile.SYMTYPE:
        return "link"
    if info.type == tarfile.DIRTYPE:
        return "directory"
    raise BuildRefused(
        f"source: unsafe entry {shown(info.name)}; allowed are regular files, symbolic links and directories"
    )


def _with_parents(members: dict[str, Member]) -> dict[str, Member]:
    """`members` with the directories that a tar may leave out, so that they get an owner too."""
    whole = dict(members)
    for name in members:
        for parent in _parents(name):
            if whole.setdefault(parent, Member("directory", True, 0, 0, "", 0)).kind != "directory":
                raise BuildRefused(
                    f"source: unsafe entry {shown(name)}, as {shown(parent)} is a {whole[parent].kind}; "
                    "allowed are paths within the tree"
                )
        _count(whole)
    return whole


def _count(members: dict[str, Member]) -> None:
    if len(members) > MAX_MEMBERS:
        raise BuildRefused(f"source: the tree has too many files and directories; allowed are {MAX_MEMBERS}")


def _parents(name: str) -> list[str]:
    parents = []
    while name := posixpath.dirname(name):
        parents.append(name)
    return parents


def _header(name: str, member: Member, owner: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.type = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "directory": tarfile.DIRTYPE}[member.kind]
    info.mode = 0o777 if member.kind == "link" else 0o755 if member.executable or member.kind == "directory" else 0o644
    info.size, info.linkname, info.mtime = member.size, member.target, member.mtime
    info.uid = info.gid = owner
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
