"""Reading objects in a process of one's own: by C git where it is installed, else by dulwich."""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, cast

from services.errors import BadInput

if TYPE_CHECKING:  # importing it takes longer than most checks do
    from dulwich.object_store import BaseObjectStore
    from dulwich.objects import Commit, ObjectID

TREE = 2
AT_ONCE = 500
"""Files that are asked for before the first answer is read: less than a pipe holds."""


class GitObjects:
    """Objects by `git cat-file`, which finds them by its environment."""

    def __init__(self) -> None:
        self._trees = Asked("--batch")

    def peel(self, names: Sequence[str]) -> list[tuple[str, bytes] | None]:
        """The commit that each name is or, as a tag, leads to, and the id of its tree; None where there is none."""
        asked = [f"{name}^{{{kind}}}" for name in names for kind in ("commit", "tree")]
        found = [
            line.split()[0] if line.count(" ") == 2 and len(line.split()[0]) == 40 else "" for line in heads(asked)
        ]
        pairs = zip(found[::2], found[1::2], strict=True)
        return [(commit, bytes.fromhex(tree)) if commit and tree else None for commit, tree in pairs]

    def commit(self, id_: str) -> tuple[bytes, int]:
        """See Objects."""
        kind, content = self._trees.one(bytes.fromhex(id_))
        if kind == "tag" and (peeled := self.peel([id_])[0]):
            return self.commit(peeled[0])
        found = re.match(rb"tree ([0-9a-f]{40})\n(?:[^\n]+\n)*?committer [^\n]* (-?[0-9]+) [^ \n]*\n", content)
        if kind != "commit" or not found:
            raise BadInput(f"commit: {id_} is not a commit; push from an intact repository")
        return bytes.fromhex(found[1].decode()), int(found[2])

    def tree(self, id_: bytes) -> bytes:
        """See Objects."""
        kind, content = self._trees.one(id_)
        if kind != "tree":
            raise BadInput(f"tree: {id_.hex()} is not a tree; push from an intact repository")
        return content

    def sizes(self, ids: Sequence[bytes]) -> list[int]:
        """See Objects."""
        found = heads([id_.hex() for id_ in ids])
        for id_, line in zip(ids, found, strict=True):
            if line.endswith(" missing"):
                raise BadInput(f"missing objects: {id_.hex()}")
        return [int(line.rpartition(" ")[2]) for line in found]

    def files(self, ids: Sequence[bytes]) -> Iterator[bytes]:
        """See Objects."""
        for at in range(0, len(ids), AT_ONCE):
            yield from self._trees.all(ids[at : at + AT_ONCE])


class Asked:
    """A `git cat-file` that is asked for objects."""

    def __init__(self, flag: str) -> None:
        self._process = subprocess.Popen(
            ["git", "cat-file", flag], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._in = cast(IO[bytes], self._process.stdin)
        self._out = cast(IO[bytes], self._process.stdout)

    def one(self, id_: bytes) -> tuple[str, bytes]:
        """An object's type and content. Raises BadInput when it is not there."""
        self._ask([id_])
        return self._answer(id_)

    def all(self, ids: Sequence[bytes]) -> Iterator[bytes]:
        """The contents of objects."""
        self._ask(ids)
        for id_ in ids:
            yield self._answer(id_)[1]

    def _ask(self, ids: Sequence[bytes]) -> None:
        self._in.write(b"".join(id_.hex().encode() + b"\n" for id_ in ids))
        self._in.flush()

    def _answer(self, id_: bytes) -> tuple[str, bytes]:
        words = self._out.readline().split()
        if len(words) != 3:
            raise BadInput(f"missing objects: {id_.hex()}")
        content = self._out.read(int(words[2]) + 1)
        return words[1].decode(), content[:-1]


def heads(names: Sequence[str]) -> list[str]:
    """What `git cat-file --batch-check` says of each name: `<id> <type> <size>`, or `<name> missing`."""
    lines = "".join(f"{name}\n" for name in names)
    argv = ["git", "cat-file", "--batch-check", "--buffer"]
    done = subprocess.run(argv, input=lines, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


class DulwichObjects:
    """The same by dulwich, in a store."""

    def __init__(self, store: "BaseObjectStore") -> None:
        from gitreceiver.git.objects import Sizes

        self._store = store
        self._sizes = Sizes(store)

    def peel(self, names: Sequence[str]) -> list[tuple[str, bytes] | None]:
        """See GitObjects."""
        peeled = (self._peeled(name) for name in names)
        return [(found.id.decode(), bytes.fromhex(found.tree.decode())) if found else None for found in peeled]

    def _peeled(self, name: str) -> "Commit | None":
        from dulwich.objects import Commit, ObjectID, Tag

        try:
            thing = self._store[ObjectID(name.encode())]
            for _ in range(10):
                if not isinstance(thing, Tag):
                    break
                thing = self._store[thing.object[1]]
        except KeyError:
            return None
        return thing if isinstance(thing, Commit) else None

    def commit(self, id_: str) -> tuple[bytes, int]:
        """See Objects."""
        if (found := self._peeled(id_)) is None:
            raise BadInput(f"commit: {id_} is not a commit; push from an intact repository")
        return bytes.fromhex(found.tree.decode()), found.commit_time

    def tree(self, id_: bytes) -> bytes:
        """See Objects."""
        kind, content = self._raw(id_)
        if kind != TREE:
            raise BadInput(f"tree: {id_.hex()} is not a tree; push from an intact repository")
        return content

    def sizes(self, ids: Sequence[bytes]) -> list[int]:
        """See Objects."""
        try:
            return [self._sizes.of(cast("ObjectID", id_.hex().encode())) for id_ in ids]
        except KeyError as error:
            raise BadInput(f"missing objects: {error.args[0]!r}") from None

    def files(self, ids: Sequence[bytes]) -> Iterator[bytes]:
        """See Objects."""
        return (self._raw(id_)[1] for id_ in ids)

    def _raw(self, id_: bytes) -> tuple[int, bytes]:
        try:
            return self._store.get_raw(cast("ObjectID", id_.hex().encode()))
        except KeyError:
            raise BadInput(f"missing objects: {id_.hex()}") from None


def opened(with_git: bool) -> GitObjects | DulwichObjects:
    """The objects that the environment names."""
    if with_git:
        return GitObjects()
    from dulwich.object_store import DiskObjectStore

    return DulwichObjects(DiskObjectStore(os.environ["GIT_OBJECT_DIRECTORY"]))
