"""Images in a backup: what Docker saves of those that serve, and what it is let load of a backup."""

import json
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker

from gitreceiver.backup.archive import BLOCK, BadBackup
from gitreceiver.backup.wanted import Wanted
from services import engine
from services.errors import Refused, Unavailable

PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE)
NAMING = ("manifest.json", "index.json", "repositories")
NAMES = ("repotags", "io.containerd.image.name", "org.opencontainers.image.ref.name")
NAMING_LIMIT = 8 << 20
ELSEWHERE = "images: Docker does not answer in this process, as in a cluster's gitreceiver; run it without --images"


@contextmanager
def connected() -> Iterator[docker.DockerClient]:
    """A client of the Docker that answers here. Raises Refused when none does."""
    with closing(engine.connect()) as client:
        try:
            with engine.answering():
                client.api.ping()
        except Unavailable:
            raise Refused(ELSEWHERE) from None
        yield client


def serving(client: docker.DockerClient, wanted: Wanted) -> tuple[list[str], list[str]]:
    """The images of the current releases and of those that may follow, by id: those that Docker has, and others."""
    ids = sorted({image for app in wanted.apps.values() for image in app.serving()})
    with engine.answering():
        listed = {found["Id"] for found in client.api.images(all=True)}
    return [image for image in ids if image in listed], [image for image in ids if image not in listed]


def saved(client: docker.DockerClient, images: list[str]) -> Iterator[bytes]:
    """What Docker saves of the images, without any name of theirs. Raises Unavailable."""
    url = f"{client.api.base_url}/v{engine.VERSION}/images/get"
    with engine.answering():
        answer = client.api.get(url, params={"names": images}, stream=True, timeout=engine.WORK)
        with closing(answer):
            answer.raise_for_status()
            yield from answer.iter_content(1 << 18)


def load(path: Path) -> None:
    """Have Docker load images that `check` has let pass. Raises Refused, and Unavailable."""
    with connected() as client, engine.answering(), path.open("rb") as file:
        for said in client.api.load_image(file):  # type: ignore[no-untyped-call]
            if "error" in said:
                raise Refused(f"Docker does not load the backup's images: {said['error']}")


def check(path: Path) -> None:
    """Raise BadBackup for what could do more to Docker than bring images without names: none may replace another's."""
    with path.open("rb") as file:
        while (block := file.read(BLOCK)) and any(block):
            try:
                info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError:
                raise BadBackup("the backup's images are damaged") from None
            end = file.tell() + -(-info.size // BLOCK) * BLOCK
            # Docker takes no content of a folder or a link, so that what stands there would be entries to it
            if info.type not in PLAIN or info.size < 0 or (info.size and not info.isreg()):
                raise BadBackup("the backup's images are not as Docker saves them")
            # in any folder: not every tar's name begins with what stands in the field of that, for Docker
            if posixpath.basename(posixpath.normpath("/" + info.name)) in NAMING:
                _refuse_names(file.read(min(info.size, NAMING_LIMIT)), info.name)
            file.seek(end)


def _refuse_names(text: bytes, name: str) -> None:
    """Docker's JSON knows no case, and of two equal keys takes either: any that names an image is refused."""

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if any(key.casefold() in NAMES and value for key, value in pairs):
            raise BadBackup("the backup's images have names, which could replace others; allowed are images without")
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=look)
    except (ValueError, RecursionError):
        raise BadBackup("the backup's images are damaged") from None
    if found and posixpath.basename(name) == "repositories":
        raise BadBackup("the backup's images have names, which could replace others; allowed are images without")
