"""What a push brings, looked at in a process of its own: see check.py."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gitreceiver.git import program
from gitreceiver.git.indexing import BadPack, last_words
from gitreceiver.git.measure import Limits
from services.names import shown

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
        raise BadPack(SLOW if errors == program.SLOW else f"what is pushed cannot be read: {last_words(errors)}")
    found: dict[str, Found | str] = {}
    for ref, answer in zip(refs, json.loads(out), strict=True):
        reason, path = answer.pop("refused"), answer.pop("path", "")
        found[ref] = reason.replace("{}", shown(path)) if reason else Found(**answer)
    return found
