"""Pushed trees for the tests of the builder, as tars."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from builder.source import Source

Content = str | bytes | tarfile.TarInfo


def write_tar(path: Path, tree: Mapping[str, Content] | list[tuple[str, Content]]) -> Path:
    """Write a tar of `tree` to `path`: text and bytes become files, a TarInfo an entry as it is but for its name."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        for name, content in tree.items() if isinstance(tree, Mapping) else tree:
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content, io.BytesIO(bytes(content.size)) if content.isreg() else None)
                continue
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def entry(type: bytes, target: str = "", mode: int = 0o644, size: int = 0) -> tarfile.TarInfo:
    """A tar entry of any kind, its name to be set by `write_tar`."""
    info = tarfile.TarInfo()
    info.type, info.linkname, info.mode, info.size = type, target, mode, size
    return info


def link(target: str) -> tarfile.TarInfo:
    """A symbolic link."""
    return entry(tarfile.SYMTYPE, target, 0o777)


def read_tree(path: Path, tree: Mapping[str, Content] | list[tuple[str, Content]], **limits: int) -> Source:
    """The checked source of `tree`, its tar at `path`; the limits are generous unless given."""
    limits = {"file_limit": 1 << 20, "tree_limit": 1 << 22, **limits}
    return Source.read(write_tar(path, tree), **limits)
