"""What Docker is let load of a backup: images without names, and nothing that could name one."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from gitreceiver.backup import images
from gitreceiver.backup.archive import BadBackup

HEX = "a" * 64
MANIFEST = [{"Config": f"{HEX}.json", "RepoTags": None, "Layers": [f"{HEX}/layer.tar"]}]


def entry(name: str, data: bytes = b"", **more: object) -> tuple[tarfile.TarInfo, bytes]:
    """An entry of a tar."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def saved(path: Path, *entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.USTAR_FORMAT) -> Path:
    """A tar of a config, a layer and these entries."""
    with tarfile.open(path / "images.tar", "w", format=form) as tar:
        for info, data in (entry(f"{HEX}.json", b"{}"), entry(f"{HEX}/layer.tar", bytes(3000)), *entries):
            tar.addfile(info, io.BytesIO(data))
    return path / "images.tar"


def text(value: object) -> bytes:
    return json.dumps(value).encode()


def test_images_without_names_pass(tmp_path: Path) -> None:
    images.check(saved(tmp_path, entry("manifest.json", text(MANIFEST))))
    images.check(saved(tmp_path, entry("repositories", b"{}"), entry("manifest.json", text(MANIFEST))))


NAMED = [
    ("manifest.json", text([{**MANIFEST[0], "RepoTags": ["debian:bookworm-slim"]}])),
    ("manifest.json", text([{**MANIFEST[0], "repotags": ["debian:bookworm-slim"]}])),
    ("manifest.json", b'[{"RepoTags": ["debian:bookworm-slim"], "RepoTags": null}]'),
    ("manifest.json", b'[{"RepoTag\xc5\xbf": ["debian:bookworm-slim"]}]'),
    ("./manifest.json", text([{**MANIFEST[0], "RepoTags": ["a:b"]}])),
    ("x/../manifest.json", text([{**MANIFEST[0], "RepoTags": ["a:b"]}])),
    ("/manifest.json", text([{**MANIFEST[0], "RepoTags": ["a:b"]}])),
    ("../manifest.json", text([{**MANIFEST[0], "RepoTags": ["a:b"]}])),
    ("repositories", text({"debian": {"bookworm-slim": HEX}})),
    ("index.json", text({"manifests": [{"annotations": {"io.containerd.image.name": "debian"}}]})),
    ("index.json", text({"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "latest"}}]})),
    ("manifest.json", b"[" * 100_000),
    ("manifest.json", b"not JSON"),
]


@pytest.mark.parametrize(("name", "data"), NAMED)
def test_what_names_an_image_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    with pytest.raises(BadBackup, match="images"):
        images.check(saved(tmp_path, entry("manifest.json", text(MANIFEST)), entry(name, data)))


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_entries_that_docker_does_not_save_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(BadBackup, match="not as Docker saves them"):
        images.check(saved(tmp_path, entry("x", type=kind, linkname="manifest.json")))


def test_a_name_that_is_told_beside_the_entry_is_refused(tmp_path: Path) -> None:
    long = entry("y" * 200 + "/manifest.json", text(MANIFEST))
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with pytest.raises(BadBackup, match="not as Docker saves them"):
            images.check(saved(tmp_path, long, form=form))


def test_a_name_that_stands_in_a_folder_to_us_alone_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, entry("manifest.json", text([{**MANIFEST[0], "RepoTags": ["a:b"]}])))
    data = bytearray(path.read_bytes())
    at = data.index(b"manifest.json")
    data[at + 257 : at + 265] = bytes(8)  # of the oldest form, in which the name has no beginning elsewhere
    data[at + 345 : at + 346] = b"x"
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    path.write_bytes(data)
    with tarfile.open(path) as tar:
        assert "x/manifest.json" in tar.getnames()
    with pytest.raises(BadBackup, match="have names"):
        images.check(path)


@pytest.mark.parametrize(("name", "kind"), [("x", tarfile.DIRTYPE), ("x", tarfile.SYMTYPE), ("x/", tarfile.AREGTYPE)])
def test_entries_in_the_content_of_what_has_none_are_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    hidden = io.BytesIO()
    with tarfile.open(fileobj=hidden, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info, data = entry("manifest.json", text([{**MANIFEST[0], "RepoTags": ["a:b"]}]))
        tar.addfile(info, io.BytesIO(data))
    path = saved(tmp_path)
    header = tarfile.TarInfo(name)
    header.type, header.size = kind, len(hidden.getvalue())
    with path.open("r+b") as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT) + hidden.getvalue() + bytes(1024))
    with pytest.raises(BadBackup, match="not as Docker saves them"):
        images.check(path)


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.tar").write_bytes(b"x" * 2000)
    with pytest.raises(BadBackup, match="are damaged"):
        images.check(tmp_path / "images.tar")
