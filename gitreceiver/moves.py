"""Which of the refs that a push names may move, and which one of them deploys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from gitreceiver.git.quarantine import Quarantine
from gitreceiver.git.receive_pack import STALE, RefCommand
from gitreceiver.state import App

MAX_REFS = 5000
"""Branches and tags of one app; every clone and push is told all of them."""
TOO_MANY = f"an app may have at most {MAX_REFS} branches and tags; delete some first"
FIRST_CHOICE = ("refs/heads/main", "refs/heads/master")


def deploying(app: App | None, refs: Sequence[str]) -> str | None:
    """Which of the pushed `refs` is built: the deploy branch, or before there is one main, master, or the first."""
    if app and app.deploy_branch:
        return app.deploy_branch if app.deploy_branch in refs else None
    branches = [ref for ref in refs if ref.startswith("refs/heads/")]
    return next((ref for ref in FIRST_CHOICE if ref in branches), branches[0] if branches else None)


def stands(app: App | None, ref: str) -> str | None:
    """The commit that the ref is at, if any."""
    return app.refs.get(ref) if app else None


def stale(app: App | None, command: RefCommand) -> bool:
    """Whether the ref is not where the client thinks."""
    return command.old != stands(app, command.ref)


def caught_up(app: App | None, command: RefCommand, quarantine: Quarantine) -> RefCommand:
    """The command from where its branch stands by now, if what it pushes goes on from there; else as it came.

    Somebody who pushed, pressed Ctrl-C and pushed again goes on from a commit that the client saw nowhere yet.
    """
    now = stands(app, command.ref)
    if now is None or command.new is None or not stale(app, command) or not command.ref.startswith("refs/heads/"):
        return command
    return replace(command, old=now) if quarantine.is_ancestor(now, command.new) else command


def undeletable(app: App, ref: str) -> str | None:
    """Why the app's ref may not be deleted, or None."""
    if ref != app.deploy_branch:
        return None
    return f"{short(ref)} is the deploy branch; push another commit to it, or end the app: apps:destroy {app.name}"


def occupied(app: App | None) -> set[str]:
    """The refs that an app has, or gets by a push that is under way."""
    return {*app.refs, *(push.ref for push in app.pending.values())} if app else set()


def unstorable(refs: Collection[str], ref: str) -> str | None:
    """Why git could not store `ref` beside `refs`, or None: one would be a file and the other its folder."""
    found = next((above for above in folders(ref) if above in refs), None)
    found = found or next((other for other in refs if other.startswith(f"{ref}/")), None)
    return f"{found} exists; cannot create {ref}" if found and ref not in refs else None


def refusal(app: App | None, command: RefCommand, names: Collection[str]) -> str | None:
    """Why the ref may not move, or None. `names` are the refs that the app has or is about to have."""
    if reason := unstorable(names, command.ref):
        return reason
    if command.ref not in names and len(names) >= MAX_REFS:
        return TOO_MANY
    return STALE if stale(app, command) else None


def folders(ref: str) -> list[str]:
    """The names that cannot be refs while `ref` is one."""
    parts = ref.split("/")
    return ["/".join(parts[:n]) for n in range(3, len(parts))]


def side_by_side(refs: Mapping[str, str], head: str | None) -> dict[str, str]:
    """Of refs that an older version took although git cannot store all of them: those that it can, `head` first."""
    kept: dict[str, str] = {}
    taken: set[str] = set()
    for ref in sorted(refs, key=lambda ref: (ref != head, ref)):
        above = folders(ref)
        if ref not in taken and kept.keys().isdisjoint(above):
            kept[ref] = refs[ref]
            taken.update(above)
    return kept


def to_delete(app: App | None) -> str | None:
    """What a push says where refs stand that git cannot store, or None."""
    hidden = sorted(app.refs.keys() - side_by_side(app.refs, app.deploy_branch).keys()) if app else []
    if not hidden:
        return None
    more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
    return f"git cannot store {hidden[0]}{more} beside the others; delete it: git push URL :{hidden[0]}"


def short(ref: str) -> str:
    """A branch or tag as people call it."""
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
