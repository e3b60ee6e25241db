"""What a push brings, looked at and written as a tar in processes: check.py and tree.py."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from gitreceiver.git import program
from gitreceiver.git.indexing import BadPack, last_words
from gitreceiver.git.measure import Limits
from gitreceiver.git.repository import Repository
from gitreceiver.git.tree import NO_ROOM, Question
from services.errors import BadInput, Unavailable

log = logging.getLogger("pushlog")

TAR_SECONDS = 600
"""Of CPU time."""
SLOW = "what is pushed takes too long to be checked; push less at once"


@dataclass(frozen=True, slots=True)
class Found:
    """A commit that a ref leads to, and its `tree`, which takes `tar` bytes as a tar.

    `link` is a symlink that leads nowhere; `submodules` are the first of them, and there are `more`.
    """

    commit: str
    tree: str
    tar: int
    link: str | None
    submodules: Sequence[str]
    more: int


def look(
    repository: Path, objects: Path, refs: Mapping[str, str], limits: Limits, with_git: bool
) -> dict[str, Found | str]:
    """What is found for each of `refs`, or why it is refused. Raises BadPack when that takes too long."""
    question = {"refs": list(refs.items()), "git": with_git, "limits": asdict(limits)}
    argv = program.ours("gitreceiver.git.check")
    feed = program.giving(json.dumps(question).encode())
    out, errors = program.run(argv, program.environment(repository, objects), feed)
    if errors:
        log.error("a push could not be checked: %s", errors)
        raise BadPack(
            SLOW if errors == program.SLOW else "what is pushed cannot be read; Pushlog's log has the details"
        )
    found: dict[str, Found | str] = {}
    for ref, answer in zip(refs, json.loads(out), strict=True):
        reason = answer.pop("refused")
        found[ref] = reason or Found(**answer)
    return found


def tar(repository: Repository, commit: str, file: BinaryIO, folder: Path, limits: Limits) -> None:
    """Have the tree of a commit written to `file`, in a folder that is to have room for it.

    Raises BadInput for a tree that is refused, Unavailable when there is no room.
    """
    question = Question(commit, asdict(limits), str(folder), program.has_git())
    feed = program.giving(json.dumps(question._asdict()).encode())
    env = program.environment(repository.path, repository.objects)
    with program.Program(program.ours("gitreceiver.git.tree"), env, feed, TAR_SECONDS, file) as writing:
        errors = writing.end()
        if writing.code == NO_ROOM:
            raise Unavailable(last_words(errors))
    if errors:
        raise BadInput("tree: writing it takes too long" if errors == program.SLOW else last_words(errors))
