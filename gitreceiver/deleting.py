"""git push --delete → ref.deleted. A branch or tag goes at once; the deploy branch stays."""

from dataclasses import replace

from gitreceiver.git.receive_pack import STALE, Progress, RefCommand
from gitreceiver.moves import short, stale, stands, undeletable
from gitreceiver.ports import Ports
from gitreceiver.state import App, expected
from services.chain import Cause, Draft, uuid7
from services.decide import Decision, commit
from services.errors import Refused
from services.events import RefDeleted, app_stream


def delete(ports: Ports, cause: Cause, app: App | None, command: RefCommand, progress: Progress) -> str | None:
    """Delete a ref of an app; returns why it was refused, or None. One that does not exist is gone, as git has it.

    What only it kept on the disk goes when the repository is compacted.
    """
    if app is None or stands(app, command.ref) is None:
        progress(f"warning: {short(command.ref)} does not exist; nothing to delete\n".encode())
        return None
    id_ = app.id

    def decide() -> Decision:
        known = ports.state.apps.get(id_)
        if known is None:
            raise Refused("the app was destroyed meanwhile")
        if stale(known, command):
            raise Refused(STALE)
        if reason := undeletable(known, command.ref):
            raise Refused(reason)
        deleted = RefDeleted(app=id_, ref=command.ref, old=command.old or "")
        return Decision([Draft(app_stream(id_), known.name, deleted)], expected(known))

    try:
        commit(ports.log, ports.projections, decide, replace(cause, correlationid=uuid7()))
    except Refused as error:
        return str(error)
    progress(f"-----> {short(command.ref)} is deleted\n".encode())
    return None
