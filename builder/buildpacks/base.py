"""What a buildpack is: a declaration of which trees it takes, and of how their dependencies are installed."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from builder.source import Source

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dependencies:
    """How an app's dependencies are installed: one command, run in /app, that sees `files` and nothing else.

    `files` are paths of the tree, or None for the whole tree. What is installed is a function of them, so that it is
    kept and used again until one of them, the command, the buildpack or the stack changes.
    """

    command: Command
    files: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Buildpack:
    """One kind of app. `name` is what the pusher reads; a higher `version` makes every app's dependencies anew.

    `detect` gets the names at the tree's root. `dependencies` gets the tree and the stack's language version (such as
    `3.11`) and returns None where nothing is to be installed; it raises BuildRefused for what the stack cannot do.
    `environment` is the install command's alone; nothing of it stays in the image.
    """

    name: str
    version: int
    detect: Callable[[Collection[str]], bool]
    dependencies: Callable[[Source, str], Dependencies | None]
    environment: Mapping[str, str] = field(default_factory=dict)
