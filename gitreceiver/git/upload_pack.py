"""The server's side of `git clone`, `git fetch` and `git ls-remote`: a process speaks with the client.

It is C git where that is installed, else dulwich. It finds what the client lacks and packs it, within limits of CPU
time; here its bytes are passed on, and what it says of a client that breaks the protocol becomes a sentence.
"""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from gitreceiver.git import program
from gitreceiver.git.indexing import BIG_FILES, last_words
from gitreceiver.git.repository import Repository
from gitreceiver.session import Disconnected, Session
from services.errors import BadInput, Refused

MAX_ASKED = 4 << 20
"""Bytes of wants and haves that a client may send: some 80,000."""
TOO_MUCH = "git: more than 4 MiB of wants and haves; fetch fewer branches at once, or clone anew"
SLOW = "git: finding what you lack takes too long; fetch fewer branches at once, or clone anew"
CPU_SECONDS = 600
DONE = b"0009done\n"
"""A client's last word, after which it only reads."""
AS_STORED = ("-c", "pack.window=0", "-c", "pack.threads=1")
"""Objects are sent as they lie on the disk."""


def upload_pack(session: Session, repo: Repository, *, refs: Mapping[str, str], head: str | None = None) -> None:
    """Serve one clone or fetch of `refs` from `repo` and end the session.

    HEAD is the ref `head`, if it is among the refs. Only what these refs reach can be asked for.
    """
    asked = Asked(session)
    with repo.view(refs, head) as folder, program.Program(*speaker(folder), asked.feed, CPU_SECONDS) as speaking:
        try:
            while data := speaking.read():
                session.write(data)
        except Disconnected:
            return  # the client has what it came for
        errors = speaking.end()
    if asked.too_much:
        session.fail(Refused(TOO_MUCH))
    elif errors:
        session.fail(Refused(SLOW) if errors == program.SLOW else BadInput(f"git: {last_words(errors)}"))
    session.exit(0)


def speaker(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command line and environment of the program that speaks for the repository in a folder."""
    with_c = ["git", *BIG_FILES, *AS_STORED, "upload-pack", "--strict", str(folder)]
    argv = with_c if program.has_git() else program.ours("gitreceiver.git.without_git", "upload-pack", str(folder))
    return argv, program.environment(folder)


class Asked:
    """What a client sends, up to a limit."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.too_much = False

    def feed(self, pid: int, stdin: int) -> None:
        """Give a program what the client sends, and end it when that is too much."""
        given, last = 0, b""
        while data := self._session.read(program.CHUNK):
            given += len(data)
            last = (last + data)[-len(DONE) :]
            if last == DONE:
                self._session.patience = None
            if given > MAX_ASKED:
                self.too_much = True
                os.kill(pid, signal.SIGKILL)
                return
            program.write(stdin, data)
