"""What no git sends: small packs and conversations that take long to work on."""

import hashlib
import random
import struct
import subprocess
import zlib

from tests.attacks.neighbour import Neighbour

COMMIT, TREE, BLOB = 1, 2, 3
NAMES = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob"}
ZERO = "0" * 40
MANY = 1000
"""Branches and tags of one push: as many as it may change."""


class Pack:
    """A pack in the making. `add` returns an object's id in hexadecimal digits."""

    def __init__(self) -> None:
        self._entries: list[bytes] = []
        self.file = self.add(BLOB, b"web: sleep 1\n")

    def add(self, kind: int, content: bytes) -> str:
        first, size, head = kind << 4 | len(content) & 15, len(content) >> 4, []
        while size:
            head.append(first | 0x80)
            first, size = size & 0x7F, size >> 7
        self._entries.append(bytes([*head, first]) + zlib.compress(content))
        whole = b"%s %d\0" % (NAMES[kind], len(content)) + content
        return hashlib.sha1(whole, usedforsecurity=False).hexdigest()

    def tree(self, entries: list[tuple[bytes, bytes, str]]) -> str:
        return self.add(TREE, b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(id_)) for mode, name, id_ in entries))

    def commit(self, tree: str, parent: str = "", number: int = 0) -> str:
        who = b"A <a@b> %d +0000" % (1_700_000_000 + number)
        parents = b"parent %s\n" % parent.encode() if parent else b""
        return self.add(COMMIT, b"tree %s\n%sauthor %s\ncommitter %s\n\nx\n" % (tree.encode(), parents, who, who))

    def whole(self) -> bytes:
        body = b"PACK" + struct.pack(">II", 2, len(self._entries)) + b"".join(self._entries)
        return body + hashlib.sha1(body, usedforsecurity=False).digest()


def same_folder_many_times() -> tuple[str, bytes]:
    """A commit of 3 ** 11 files and the folders above them, more than a tree may have; its pack has 1 KB."""
    pack = Pack()
    tree = pack.tree([(b"100644", b"x", pack.file)])
    for _ in range(11):
        tree = pack.tree([(b"40000", name, tree) for name in (b"a", b"b", b"c")])
    return pack.commit(tree), pack.whole()


def million_files() -> tuple[str, bytes]:
    """A commit of a folder with a million files, which are all the same."""
    pack = Pack()
    return pack.commit(pack.tree([(b"100644", b"%06d" % n, pack.file) for n in range(1_000_000)])), pack.whole()


def long_history() -> tuple[list[str], bytes]:
    """Some thousand commits, the last one first."""
    pack, commits = Pack(), [""]
    tree = pack.tree([(b"100644", b"Procfile", pack.file)])
    for number in range(5000):
        commits.append(pack.commit(tree, commits[-1], number))
    return commits[:0:-1], pack.whole()


def line(data: str) -> bytes:
    """One line of git's protocol."""
    return b"%04x%s" % (len(data) + 4, data.encode())


def say(user: Neighbour, verb: str, app: str, said: bytes) -> subprocess.CompletedProcess[bytes]:
    """Say it to git's server side, from where the user is."""
    with user.place.inside():
        return subprocess.run(user.instance.ssh_argv(verb, app), input=said, capture_output=True, timeout=120)


def push(user: Neighbour, app: str, commands: list[tuple[str, str, str]], pack: bytes) -> bytes:
    """Push; returns all that the server said. Commands are old, new and ref."""
    lines = [f"{old} {new} {ref}" for old, new, ref in commands]
    lines[0] += "\0 report-status side-band-64k"
    done = say(user, "git-receive-pack", app, b"".join(line(each) for each in lines) + b"0000" + pack)
    return done.stdout + done.stderr


def fetch(user: Neighbour, app: str, wanted: str, count: int) -> subprocess.CompletedProcess[bytes]:
    """Fetch a commit and claim to have very many others."""
    have = random.Random(8)
    wants = line(f"want {wanted} multi_ack_detailed side-band-64k thin-pack ofs-delta\n") + b"0000"
    haves = b"".join(line(f"have {have.getrandbits(160):040x}\n") for _ in range(count))
    return say(user, "git-upload-pack", app, wants + haves + line("done\n"))
