"""The buildpacks, in the order in which they are asked."""

from collections.abc import Collection

from builder.buildpacks.base import Buildpack, Dependencies
from builder.buildpacks.null import NULL
from builder.buildpacks.python import PYTHON
from builder.errors import BuildRefused

__all__ = ["BUILDPACKS", "Buildpack", "Dependencies", "detect"]

BUILDPACKS = (NULL, PYTHON)


def detect(names: Collection[str]) -> Buildpack:
    """The first buildpack that takes a tree with `names` at its root. Raises BuildRefused when none does."""
    for buildpack in BUILDPACKS:
        if buildpack.detect(names):
            return buildpack
    raise BuildRefused(
        "no buildpack takes this tree; allowed are a Python app, with requirements.txt, pyproject.toml or uv.lock "
        "at its root, and an app that needs the stack alone, with a file .null"
    )
