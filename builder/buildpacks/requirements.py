"""Which files of a tree a requirements.txt refers to, so that its dependencies are made anew when one changes.

This is not a parser of every requirement: a line that it does not know for sure to be about package indexes alone
counts as one that may read anything in the tree.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from builder.errors import BuildRefused
from builder.source import Source

MANIFEST_LIMIT = 4 * 1024 * 1024

_INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)[\s=]*(?P<file>\S.*)")
_HARMLESS = re.compile(
    r"(--pre|--prefer-binary|--require-hashes|--no-index"
    r"|(-i|--index-url|--extra-index-url)[\s=]+https?://\S+"
    r"|(--no-binary|--only-binary|--trusted-host)[\s=]+\S+)"
)
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[A-Za-z0-9._,\s-]*\])?\s*"
_PACKAGE = re.compile(rf"{_NAME}($|[<>=!~;(])")
_REMOTE = re.compile(rf"({_NAME}@\s*)?(git\+)?(https?|ssh)://")
_ARCHIVE = re.compile(r".*\.(whl|zip|tar|tar\.\w+|tgz)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Requirements:
    """`empty` when nothing is required; `files` are what was read, or None when it may be anything in the tree."""

    empty: bool
    files: frozenset[str] | None


def is_package(requirement: str) -> bool:
    """Whether a requirement (PEP 508) names a package of an index or a URL, and nothing within the tree."""
    if _REMOTE.match(requirement):
        return True
    return _PACKAGE.match(requirement) is not None and _ARCHIVE.fullmatch(requirement) is None


def read_text(source: Source, name: str) -> str:
    """The text of a manifest. Raises BuildRefused for what is not a regular UTF-8 file of at most MANIFEST_LIMIT."""
    try:
        return source.read_file(name, limit=MANIFEST_LIMIT).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BuildRefused(f"{name}: this is not UTF-8; allowed is UTF-8 text") from None


def read(source: Source, name: str) -> Requirements:
    """What the requirements file `name` of the tree, and the files that it includes, refer to."""
    files = {name}
    waiting = [name]
    empty = True
    while waiting:
        current = waiting.pop()
        for line in _lines(read_text(source, current)):
            included = _INCLUDE.fullmatch(line)
            if included is None:
                if _HARMLESS.fullmatch(line):
                    continue
                empty = False
                if not is_package(line):
                    return Requirements(empty=False, files=None)
                continue
            path = posixpath.normpath(posixpath.join(posixpath.dirname(current), included["file"].strip("'\"")))
            if not source.is_file(path):
                return Requirements(empty=False, files=None)
            if path not in files:
                files.add(path)
                waiting.append(path)
    return Requirements(empty, frozenset(files))


def _lines(text: str) -> Iterator[str]:
    """The logical lines: continued ones joined, comments and blank ones left out."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if kept := re.sub(r"(^|\s)#.*", "", line).strip():
            yield kept
