"""The server's side of `git clone`, `git fetch` and `git ls-remote`. dulwich speaks the protocol.

dulwich finds what the client lacks. The pack of it is made by C git where it is installed: that takes objects over as
they lie on the disk, where dulwich unpacks and compresses each as a whole, in memory.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from dulwich.errors import GitProtocolError, HangupException
from dulwich.objects import ObjectID
from dulwich.protocol import CAPABILITY_FILTER, CAPABILITY_NO_DONE
from dulwich.refs import Ref
from dulwich.server import Backend, UploadPackHandler, _ProtocolGraphWalker

from gitreceiver.git.conversation import Conversation
from gitreceiver.git.indexing import has_git, pack_with_git, printable
from gitreceiver.git.repository import Repository, view
from gitreceiver.session import Disconnected, Session
from services.errors import BadInput

T = TypeVar("T")
TURN = 0.02
"""Seconds of work after which others have a turn."""


def upload_pack(session: Session, repo: Repository, *, refs: Mapping[str, str], head: str | None = None) -> None:
    """Serve one clone or fetch of `refs` from `repo` and end the session.

    HEAD is the ref `head`, if it is among the refs. Only what these refs reach can be asked for.
    """
    conversation = Conversation(session)
    try:
        with repo.store() as store:
            backend = view(store, refs, head)
            handler = GitUploader(backend, conversation, repo) if has_git() else Uploader(backend, [""], conversation)
            handler.handle()
        conversation.flush()
    except (Disconnected, HangupException):
        pass  # the client has what it came for
    except GitProtocolError as error:
        session.fail(BadInput(f"git: {printable(str(error))}"))
    session.exit(0)


class Uploader(UploadPackHandler):
    """dulwich's upload-pack. Partial clones are not offered: git then makes a full one and says so."""

    def capabilities(self) -> list[bytes]:
        """See UploadPackHandler."""
        return [capability for capability in super().capabilities() if capability != CAPABILITY_FILTER]

    @classmethod
    def innocuous_capabilities(cls) -> Iterable[bytes]:
        """What a client may ask for without an offer, to no effect; git asks for a filter in any case."""
        return [*super().innocuous_capabilities(), CAPABILITY_FILTER]


class GitUploader(Uploader):
    """The same, with the pack made by C git."""

    def __init__(self, backend: Backend, conversation: Conversation, repo: Repository) -> None:
        super().__init__(backend, [""], conversation)
        self._disk = repo

    def handle(self) -> None:
        """UploadPackHandler.handle but for who makes the pack, and for partial clones."""
        walker = _ProtocolGraphWalker(self, self.repo.object_store, self.repo.get_peeled, self.repo.refs.get_symrefs)
        wants: list[ObjectID] = []

        def determine_wants(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:
            wants.extend(walker.determine_wants(refs, depth))
            return wants

        missing = self.repo.find_missing_objects(determine_wants, walker, self.progress, get_tagged=self.get_tagged)
        if not wants or missing is None:
            return
        objects = [sha for sha, _ in in_turns(missing)]
        if not walker.handle_done(not self.has_capability(CAPABILITY_NO_DONE), self._done_received):
            return
        self._start_pack_send_phase()
        pack_with_git(objects, self._disk.objects, self._disk.path, self.write_pack_data)
        self.proto.write_pkt_line(None)


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """The items, which take work to find; others have a turn now and then."""
    due = time.monotonic() + TURN
    for item in items:
        yield item
        if time.monotonic() > due:
            time.sleep(0)
            due = time.monotonic() + TURN
