"""How large objects are, read from their headers: nothing is inflated to learn that it is too large to be inflated."""

import zlib

from dulwich.object_store import BaseObjectStore, DiskObjectStore
from dulwich.objects import ObjectID, hex_to_sha
from dulwich.pack import Pack

OFS_DELTA, REF_DELTA = 6, 7
SHA_BYTES = 20
HEAD_BYTES = 4096


class Sizes:
    """The sizes of a store's objects as they stand in its packs now."""

    def __init__(self, store: BaseObjectStore) -> None:
        self._store = store
        self._packs: list[Pack] = []
        if isinstance(store, DiskObjectStore):
            near = [store, *(other for other in store.alternates if isinstance(other, DiskObjectStore))]
            self._packs = [pack for each in near for pack in each.packs]

    def of(self, sha: ObjectID) -> int:
        """The size in bytes of the object's content. Raises KeyError when there is no such object."""
        raw = hex_to_sha(sha)
        for at, pack in enumerate(self._packs):
            try:
                offset = pack.index.object_offset(raw)
            except KeyError:
                continue
            if at:  # objects that belong together lie in one pack
                self._packs.insert(0, self._packs.pop(at))
            return packed_size(pack, offset)
        return len(self._store.get_raw(sha)[1])


def packed_size(pack: Pack, offset: int) -> int:
    """The size of the object whose entry begins at `offset` of the pack."""
    with open(pack.data.path, "rb") as file:
        file.seek(offset)
        head = file.read(HEAD_BYTES)
    kind = head[0] >> 4 & 7
    size, at = head[0] & 15, 1
    if head[0] & 0x80:
        rest, at = _varint(head, 1)
        size |= rest << 4
    if kind == OFS_DELTA:
        while head[at] & 0x80:
            at += 1
        at += 1
    elif kind == REF_DELTA:
        at += SHA_BYTES
    else:
        return size
    delta = zlib.decompressobj().decompress(head[at:], 32)  # begins with the sizes of its base and of its result
    return _varint(delta, _varint(delta, 0)[1])[0]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The little-endian base-128 number at `at`, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
