"""A process that looks at what a push brings: `python -m gitreceiver.git.check`, a question on stdin as JSON.

It says of each ref what it leads to, or why it is refused. It imports little, because every push waits for it.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from gitreceiver.git.measure import Limits, Measures
from gitreceiver.git.reading import opened
from services.errors import BadInput

Json = dict[str, Any]


def answer(question: Json) -> list[Json]:
    """What is found for each of `refs`, which are pairs of name and id."""
    refs = question["refs"]
    objects = opened(question["git"])
    measures = Measures(objects, Limits(**question["limits"]))
    found = objects.peel([id_ for _, id_ in refs])
    return [one(ref, id_, there, measures) for (ref, id_), there in zip(refs, found, strict=True)]


def one(ref: str, id_: str, there: tuple[str, bytes] | None, measures: Measures) -> Json:
    """What is found for one ref."""
    if there is None or (ref.startswith("refs/heads/") and there[0] != id_):
        return {"refused": "a branch or tag must be of a commit"}
    try:
        measure = measures.of(there[1])
    except BadInput as error:
        return {"refused": str(error)}
    return {
        "refused": None,
        "commit": there[0],
        "tree": there[1].hex(),
        "tar": measure.tar,
        "link": None if measure.link is None else os.fsdecode(measure.link),
        "submodules": [os.fsdecode(path) for path in measure.submodules],
        "more": measure.more,
    }


def main(question: Mapping[str, Any]) -> None:
    """Answer on stdout."""
    json.dump(answer(dict(question)), sys.stdout)


if __name__ == "__main__":
    main(json.load(sys.stdin))
