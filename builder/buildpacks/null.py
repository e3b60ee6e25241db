"""An app that needs the stack and its Procfile alone: it says so by a file `null` or `.null` at its root."""

from collections.abc import Collection

from builder.buildpacks.base import Buildpack, Dependencies
from builder.source import Source


def detect(names: Collection[str]) -> bool:
    """Whether a file named `null` or `.null` is among `names`."""
    return "null" in names or ".null" in names


def dependencies(source: Source, version: str) -> Dependencies | None:
    """Never any."""
    return None


NULL = Buildpack(name="Null", version=1, detect=detect, dependencies=dependencies)
