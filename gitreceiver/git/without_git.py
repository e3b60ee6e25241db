"""What C git does, by dulwich, in a process: `python -m gitreceiver.git.without_git VERB …` where git is not installed.

It ends as git does: with `fatal: ` and a sentence on stderr, and an exit code other than 0.
"""

import os
import sys
from collections.abc import Callable, Iterable
from io import BufferedReader
from typing import cast

from dulwich.errors import HangupException
from dulwich.object_store import DiskObjectStore, PackInputTooLarge
from dulwich.objects import S_ISGITLINK, Commit, ObjectID, Tag, Tree
from dulwich.protocol import CAPABILITY_FILTER, ReceivableProtocol
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend, UploadPackHandler
from dulwich.walk import Walker

from gitreceiver.git.measure import unsafe
from services.disk import human


class Fatal(Exception):
    """A sentence to end with."""


def index_pack(limit: str) -> None:
    """Take the pack on stdin into the objects' folder, and check its objects and their links."""
    store = DiskObjectStore(os.environ["GIT_OBJECT_DIRECTORY"])
    stdin = cast(BufferedReader, sys.stdin.buffer)
    try:
        pack = store.add_thin_pack(stdin.read, stdin.read1, max_input_size=int(limit))
        for thing in pack.iterobjects():
            if isinstance(thing, Tree) and any(unsafe(name or b"") for name, _, _ in thing.iteritems()):
                raise Fatal(f"unsafe path in tree {thing.id.decode()}")
            thing.check()
            for sha in links(thing):
                if sha not in store:
                    raise Fatal(f"missing objects: {sha.decode()}, which {thing.id.decode()} names")
    except PackInputTooLarge:
        raise Fatal(f"pack exceeds {human(int(limit))}") from None
    except (Fatal, OSError):  # an OSError is the disk's, not the pack's
        raise
    except Exception as error:  # whatever dulwich stumbles over in foreign bytes, it is the pack that is bad
        raise Fatal(f"bad pack: {' '.join(str(error).split()) or type(error).__name__}") from error


def links(thing: object) -> list[ObjectID]:
    """The objects that an object names, without submodules."""
    match thing:
        case Commit():
            return [thing.tree, *thing.parents]
        case Tag():
            return [thing.object[1]]
        case Tree():
            return [sha for _, mode, sha in thing.iteritems() if sha and mode is not None and not S_ISGITLINK(mode)]
    return []


class Uploader(UploadPackHandler):
    """dulwich's upload-pack. Partial clones are not offered: git then makes a full one and says so."""

    def capabilities(self) -> list[bytes]:
        """See UploadPackHandler."""
        return [capability for capability in super().capabilities() if capability != CAPABILITY_FILTER]

    @classmethod
    def innocuous_capabilities(cls) -> Iterable[bytes]:
        """What a client may ask for without an offer, to no effect; git asks for a filter in any case."""
        return [*super().innocuous_capabilities(), CAPABILITY_FILTER]


def upload_pack(folder: str) -> None:
    """Serve a clone or fetch of the repository in a folder."""
    out = sys.stdout.buffer

    def read(size: int) -> bytes:
        out.flush()  # what was written, before it waits
        return os.read(0, size)

    protocol = ReceivableProtocol(read, out.write)
    with Repo(folder) as repo:
        try:
            Uploader(DictBackend({"": cast(BackendRepo, repo)}), [""], protocol).handle()
        except HangupException:
            raise Fatal("the remote end hung up unexpectedly") from None
        except OSError:
            raise
        except Exception as error:  # whatever dulwich stumbles over in foreign bytes, it is the client that is wrong
            raise Fatal(f"protocol error: {' '.join(str(error).split()) or type(error).__name__}") from error
    out.flush()


def is_ancestor(old: str, new: str) -> None:
    """End with 0 if the commit `old` is `new`, or in its history, else with 1."""
    store = DiskObjectStore(os.environ["GIT_OBJECT_DIRECTORY"])
    beyond = Walker(store, [ObjectID(old.encode())], exclude=[ObjectID(new.encode())], max_entries=1)
    if next(iter(beyond), None) is not None:
        sys.exit(1)


VERBS: dict[str, Callable[..., None]] = {
    "index-pack": index_pack,
    "upload-pack": upload_pack,
    "is-ancestor": is_ancestor,
}


def main(verb: str, *words: str) -> None:
    """Do what the command line says."""
    try:
        VERBS[verb](*words)
    except (Fatal, OSError) as error:
        sys.stderr.write(f"fatal: {error}\n")
        sys.exit(128)


if __name__ == "__main__":
    main(*sys.argv[1:])
