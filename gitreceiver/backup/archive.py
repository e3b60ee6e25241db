"""The archive of a backup: a tar of plain files, written and read as a stream, in which each byte is accounted for.

First stands a header that names the format, last a manifest with size and SHA-256 of every part. No library reads what
others may have made: an archive holds files of these names, spelled as they are written here, and nothing else.
"""

import hashlib
import json
import re
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from services.errors import PushlogError
from services.names import shown
from services.version import VERSION

FORMAT = 1
HEADER, EVENTS, KEYRING, IMAGES, MANIFEST = (
    "pushlog-backup.json",
    "events.jsonl",
    "keyring.json",
    "images.tar",
    "manifest.json",
)
PACK = r"repositories/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.pack"
BLOB = r"blobs/([0-9a-f]{64})"
NAMES = re.compile("|".join([*map(re.escape, (HEADER, EVENTS, KEYRING, IMAGES, MANIFEST)), PACK, BLOB]))
CHUNK = 256 * 1024
ABOUT_LIMIT = 64 << 10
BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)

Read = Callable[[int], bytes]
"""Gives 1 to n bytes; none at the end."""
Json = dict[str, Any]


class BadBackup(PushlogError):
    """What was given is no backup that could be imported; the sentence says why."""


class Part(NamedTuple):
    """One file of an archive. Its bytes must be taken before the next part is asked for."""

    name: str
    size: int
    chunks: Iterator[bytes]

    def json(self, limit: int) -> Json:
        """The JSON object that a part of at most `limit` bytes is. Raises BadBackup."""
        if self.size > limit:
            raise BadBackup(f"the backup's {self.name} is too large: {self.size} bytes; allowed are {limit}")
        try:
            value = json.loads(b"".join(self.chunks))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise BadBackup(f"the backup is damaged: {self.name} is not what Pushlog writes")
        return value


class Writer:
    """Writes an archive to `write`, part by part. `about` stands in its header and in its manifest."""

    def __init__(self, write: Callable[[bytes], None], about: Json) -> None:
        self._write = write
        self._about = {"format": FORMAT, "pushlog": VERSION, **about}
        self.parts: dict[str, Json] = {}
        self.put(HEADER, self._about)

    def put(self, name: str, value: Json) -> None:
        """Add a small part that is JSON."""
        data = _text(value)
        self.add(name, len(data), [data])

    def add(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        """Add a part of exactly `size` bytes."""
        digest, left = hashlib.sha256(), size
        self._write(_header(name, size))
        for chunk in chunks:
            digest.update(chunk)
            left -= len(chunk)
            self._write(chunk)
            time.sleep(0)  # others have a turn
        if left:
            raise ValueError(f"{name} has not the {size} bytes that it was said to have")
        self._write(bytes(-size % BLOCK))
        self.parts[name] = {"size": size, "sha256": digest.hexdigest()}

    def end(self) -> None:
        """Add the manifest."""
        self.put(MANIFEST, self._about | {"parts": self.parts})
        self._write(END)


class Reader:
    """An archive that `read` gives, checked as it comes. `about` is what its header says.

    What is taken from it counts only when `parts` has ended. Raises BadBackup for whatever Writer does not write.
    """

    def __init__(self, read: Read) -> None:
        self._source = Source(read)
        self._seen: dict[str, Json] = {}
        try:
            header = self._source.part()
        except BadBackup:
            header = None
        if header is None or header.name != HEADER:
            raise BadBackup("this is no backup of Pushlog's; allowed is what backup:export wrote")
        self.about = _measured(header, self._seen).json(ABOUT_LIMIT)
        version = self.about.get("format")
        if type(version) is not int or version < 1:
            raise BadBackup("the backup is damaged: it does not say which format it has")
        if version > FORMAT:
            raise BadBackup(f"the backup has format {version}, newer than this Pushlog's {FORMAT}; upgrade Pushlog")

    def parts(self) -> Iterator[Part]:
        """What lies between the header and the manifest."""
        while part := self._source.part():
            if part.name in self._seen:
                raise BadBackup(f"the backup is damaged: {part.name} is there twice")
            if part.name == MANIFEST:
                manifest = _text(self.about | {"parts": self._seen})
                if part.size != len(manifest) or b"".join(part.chunks) != manifest:
                    raise BadBackup("the backup is damaged: its parts are not those that its manifest names")
                self._source.end()
                return
            yield _measured(part, self._seen)
            if part.name not in self._seen:
                raise ValueError(f"{part.name} was not taken")
        raise BadBackup("the backup is damaged: where its next part should begin there is none")


class Source:
    """An archive that is read."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def part(self) -> Part | None:
        """The next part; None for what is not even the beginning of one."""
        block = b"".join(self.exactly(BLOCK))
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
            plain = info.size >= 0 and NAMES.fullmatch(info.name) is not None and block == _header(info.name, info.size)
        except (tarfile.HeaderError, ValueError, OverflowError):
            return None
        if not plain:
            raise BadBackup(f"this is no backup, or a damaged one: it has an entry {shown(info.name)}")
        return Part(info.name, info.size, self._content(info.size))

    def _content(self, size: int) -> Iterator[bytes]:
        yield from self.exactly(size)
        self.zeros(-size % BLOCK)

    def exactly(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes. Raises BadBackup when there are fewer."""
        while size:
            chunk = self._read(min(size, CHUNK))
            if not chunk:
                raise BadBackup("the backup is damaged: it is cut off")
            size -= len(chunk)
            yield chunk
            time.sleep(0)

    def zeros(self, size: int) -> None:
        """Pass over `size` bytes that must be zero."""
        if any(map(any, self.exactly(size))):
            raise BadBackup("the backup is damaged: there is something between its parts")

    def end(self) -> None:
        """Make sure that nothing else stands here."""
        self.zeros(len(END))
        if self._read(1):
            raise BadBackup("the backup is damaged: something stands behind its end")


def _measured(part: Part, seen: dict[str, Json]) -> Part:
    """The part, whose size and digest are in `seen` once its bytes were taken."""

    def chunks() -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in part.chunks:
            digest.update(chunk)
            yield chunk
        seen[part.name] = {"size": part.size, "sha256": digest.hexdigest()}

    return part._replace(chunks=chunks())


def _text(value: Json) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")
