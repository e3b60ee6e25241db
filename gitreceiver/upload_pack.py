"""The server's side of `git clone`, `git fetch` and `git ls-remote`. dulwich speaks the protocol."""

from collections.abc import Mapping

from dulwich.errors import GitProtocolError, HangupException
from dulwich.server import UploadPackHandler

from gitreceiver.conversation import Conversation
from gitreceiver.indexing import printable
from gitreceiver.repository import Repository, view
from gitreceiver.session import Disconnected, Session
from services.errors import BadInput


def upload_pack(session: Session, repo: Repository, *, refs: Mapping[str, str], head: str | None = None) -> None:
    """Serve one clone or fetch of `refs` from `repo` and end the session.

    HEAD is the ref `head`, if it is among the refs. Only what these refs reach can be asked for.
    """
    conversation = Conversation(session)
    try:
        with repo.store() as store:
            UploadPackHandler(view(store, refs, head), [""], conversation).handle()
        conversation.flush()
    except (Disconnected, HangupException):
        pass  # the client has what it came for
    except GitProtocolError as error:
        session.fail(BadInput(f"git: {printable(str(error))}"))
    session.exit(0)
