"""What a pack may cost to take: CPU time, memory and size, with the real git."""

import hashlib
import itertools
import os
import struct
import subprocess
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dulwich.objects import Blob, ObjectID

from gitreceiver.git import indexing, program
from gitreceiver.git.indexing import BadPack
from gitreceiver.git.quarantine import Quarantine, clean_quarantines
from gitreceiver.git.repository import Repository, repository
from gitreceiver.session import Disconnected

APP = "00000000-0000-4000-8000-000000000001"
MIB = bytes(1 << 20)


@pytest.fixture
def repo(tmp_path) -> Repository:
    return repository(tmp_path, APP)


BLOB, TREE = 3, 2


def endless_zeros(declared: int, kind: int = BLOB) -> Iterator[bytes]:
    """A pack of one object of so many declared bytes, whose zeros never end."""
    yield b"PACK" + struct.pack(">II", 2, 1)
    head, size = [kind << 4 | declared & 15 | 0x80], declared >> 4
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    yield bytes([*head, size])
    squeezer = zlib.compressobj(9)
    yield squeezer.compress(MIB) + squeezer.flush(zlib.Z_FULL_FLUSH)
    yield from itertools.repeat(squeezer.compress(MIB) + squeezer.flush(zlib.Z_FULL_FLUSH))


def reader(chunks: Iterator[bytes]):
    """The chunks as a `read`, which may give less than asked for."""
    rest = b""

    def read(size: int) -> bytes:
        nonlocal rest
        rest = rest or next(chunks, b"")
        data, rest = rest[:size], rest[size:]
        return data

    return read


def take(repo: Repository, chunks: Iterator[bytes], limit: int) -> None:
    read = reader(chunks)
    with Quarantine(repo) as quarantine:
        quarantine.take(lambda size: read(size), read, limit)


def test_a_pack_that_unpacks_to_endless_bytes_is_stopped_by_its_cpu_time(repo, monkeypatch):
    monkeypatch.setattr(indexing, "CPU_SECONDS", 1)
    monkeypatch.setattr(indexing, "CPU_BYTES_PER_SECOND", 1 << 40)
    with pytest.raises(BadPack, match="unpacking takes too long"):
        take(repo, endless_zeros(1 << 45), 1 << 40)
    assert list(repo.incoming.iterdir()) == []


def test_a_pack_that_never_ends_is_stopped_at_the_limit(repo):
    noise = zlib.compressobj(0)
    endless = itertools.chain(
        itertools.islice(endless_zeros(1 << 40), 2), (noise.compress(MIB) for _ in itertools.count())
    )
    with pytest.raises(BadPack, match="pack exceeds 5 MiB"):
        take(repo, endless, 5 << 20)


def test_a_pack_that_needs_too_much_memory_is_refused_with_that_reason(repo, monkeypatch):
    monkeypatch.setattr(program, "ADDRESS_SPACE", 256 << 20)
    with pytest.raises(BadPack, match="unpacking takes more than 256 MiB of memory"):
        take(repo, endless_zeros(1 << 30, TREE), 1 << 30)


def test_nobody_reads_on_when_a_pack_was_taken_whole(repo):
    body = b"PACK" + struct.pack(">II", 2, 1) + bytes([BLOB << 4]) + zlib.compress(b"")
    left, ended = [body + hashlib.sha1(body).digest()], threading.Event()

    def read(_size: int) -> bytes:
        if left:
            return left.pop()
        ended.wait(0.5)  # what is behind the pack comes late
        ended.set()
        return b""

    indexing.index(read, repo.objects, repo.path, 1 << 20, True, whole=True)
    assert ended.is_set()


def test_a_pack_of_an_object_that_is_not_there_cannot_be_made(repo):
    with pytest.raises(BadPack, match="no pack could be made"):
        indexing.pack_with_git([ObjectID(b"1" * 40)], repo.objects, repo.path, bytearray().extend)


def test_nothing_goes_on_making_a_pack_that_nobody_takes(repo, monkeypatch):
    made: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def started(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        made.append(start(*args, **kwargs))
        return made[0]

    def gone(_: bytes) -> None:
        raise Disconnected

    with repo.store() as store:
        blob = Blob.from_string(os.urandom(1 << 20))
        store.add_object(blob)
    monkeypatch.setattr(subprocess, "Popen", started)
    with pytest.raises(Disconnected):
        indexing.pack_with_git([blob.id], repo.objects, repo.path, gone)
    assert made[0].returncode is not None


def test_what_a_living_process_holds_in_quarantine_is_not_cleaned(repo):
    with Quarantine(repo) as quarantine:
        assert clean_quarantines(repo.path.parents[1]) == 0
        assert quarantine.path.exists()
    left = repo.incoming / "left"
    (left / "pack").mkdir(parents=True)
    assert clean_quarantines(repo.path.parents[1]) == 1
    assert not left.exists()


def test_a_repository_is_made_once_and_kept_apart_by_uuid(tmp_path: Path) -> None:
    first = repository(tmp_path, APP)
    assert repository(tmp_path, APP) == first
    for bad in ("../x", "hello", APP.upper().replace("0", "A"), ""):
        with pytest.raises(ValueError, match="not an app's uuid"):
            repository(tmp_path, bad)
