"""backup:export: the log up to its head, and all that its apps need beside it, as one archive."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

import docker
from dulwich.objects import ObjectID
from dulwich.pack import write_pack_data

from gitreceiver.backup import images, sealing
from gitreceiver.backup.archive import CHUNK, EVENTS, IMAGES, KEYRING, Writer
from gitreceiver.backup.wanted import App, Wanted
from gitreceiver.git.indexing import pack_with_git
from gitreceiver.git.program import has_git
from gitreceiver.git.repository import FOLDER, Repository, repositories
from gitreceiver.ports import Ports
from services import chain, disk
from services.chain import Head

OPEN = "Whoever has this backup can read every secret in it; --passphrase-file FILE seals its keys"


def export(
    ports: Ports,
    write: Callable[[bytes], None],
    say: Callable[[str], None],
    passphrase: str | None,
    with_images: bool = False,
) -> None:
    """Write the backup as of the log's head to `write`, and to `say` what the asker should know of it.

    The platform goes on meanwhile: what is recorded after the head is in the next backup. Raises Refused for images
    where Docker does not answer.
    """
    with images.connected() if with_images else nullcontext() as client:
        _export(ports, write, say, passphrase, client)


def _export(
    ports: Ports,
    write: Callable[[bytes], None],
    say: Callable[[str], None],
    passphrase: str | None,
    client: docker.DockerClient | None,
) -> None:
    head = ports.log.head()
    about = {"time": chain.now(), "instance": ports.settings.instance, "head": head._asdict()}
    archive, wanted = Writer(write, about | {"sealed": passphrase is not None}), Wanted()
    with spooled(ports) as file:
        for line in lines(ports, head, wanted):
            file.write(line)
        archive.add(EVENTS, *content(file))
    keys = {app: key for app, key in ports.keyring.data_keys().items() if app in wanted.apps}
    archive.put(KEYRING, sealing.written(keys, passphrase))
    for app, path in repositories(ports.settings.home):
        if app in wanted.apps:
            add_objects(ports, archive, app, wanted.apps[app], Repository(path))
    for source in sorted({tree.source for trees in wanted.trees().values() for tree in trees if tree.source}):
        add_blob(ports, archive, source)
    if client:
        add_images(ports, archive, client, wanted, say)
    archive.end()
    if passphrase is None:
        say(OPEN)


def lines(ports: Ports, head: Head, wanted: Wanted) -> Iterator[bytes]:
    """The log's rows up to its head, each a line of JSON; `wanted` takes them in."""
    position = 0
    while position < head.position:
        rows = ports.log.rows(position, min(chain.PAGE, head.position - position))
        position = rows[-1][0]
        for row in rows:
            wanted.evolve(chain.recorded(row))
        yield b"".join(chain.canonical(list(row)).encode() + b"\n" for row in rows)
        time.sleep(0)  # others have a turn


def add_objects(ports: Ports, archive: Writer, app: str, known: App, repository: Repository) -> None:
    """Add a pack of all that the app's branches, tags and pushes reach, if there is anything."""
    with repository.store() as store:
        commits = sorted({ObjectID(commit.encode()) for commit in known.held.values()})
        there = [commit for commit in commits if commit in store]
        if not there:
            return
        with spooled(ports) as file:
            if has_git():
                pack_with_git(there, repository.objects, repository.path, file.write, revisions=True)
            else:
                count, records = store.generate_pack_data([], there)
                write_pack_data(file.file, records, store.object_format, num_records=count)
            archive.add(f"{FOLDER}/{app}.pack", *content(file))


def add_blob(ports: Ports, archive: Writer, source: str) -> None:
    """Add the tar that an old version kept of a tree, if it is there still: the objects are enough."""
    with suppress(KeyError, FileNotFoundError), ports.blobs.path(source).open("rb") as file:
        archive.add(f"blobs/{source.removeprefix('sha256:')}", *content(file))


def add_images(
    ports: Ports, archive: Writer, client: docker.DockerClient, wanted: Wanted, say: Callable[[str], None]
) -> None:
    """Add the images that serve or are about to, as one part: they share what they rest on."""
    there, gone = images.serving(client, wanted)
    for image in gone:
        say(f"The image {image[:19]}… is not there; it is built again where it is needed")
    if there:
        with spooled(ports) as file:
            for chunk in images.saved(client, there):
                file.write(chunk)
            archive.add(IMAGES, *content(file))


@contextmanager
def spooled(ports: Ports) -> "Iterator[Spool]":
    """A file for a part whose length is not known before it is written; gone at the end."""
    folder = ports.settings.home / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with disk.answering(folder), tempfile.TemporaryFile(dir=folder) as file:
        yield Spool(file, folder)


class Spool:
    """Such a file, while it is written. Raises Unavailable when the disk has no room for it."""

    EVERY = disk.RESERVE // 4

    def __init__(self, file: BinaryIO, folder: Path) -> None:
        self.file = file
        self._folder = folder
        self._unchecked = self.EVERY

    def write(self, data: bytes) -> int:
        """Add `data`."""
        self._unchecked += len(data)
        if self._unchecked >= self.EVERY:
            disk.require(self._folder, len(data))
            self._unchecked = 0
        return self.file.write(data)


def content(written: BinaryIO | Spool) -> tuple[int, Iterable[bytes]]:
    """The size of a file and its bytes, in chunks."""
    file = written.file if isinstance(written, Spool) else written
    size = file.seek(0, 2)
    file.seek(0)
    return size, iter(lambda: file.read(CHUNK), b"")
