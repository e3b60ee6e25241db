"""Which of the refs that a push names may move, and which one of them deploys."""

from collections.abc import Sequence
from dataclasses import replace

from dulwich.object_store import BaseObjectStore
from dulwich.objects import ObjectID
from dulwich.walk import Walker

from gitreceiver.git.receive_pack import RefCommand
from gitreceiver.state import App

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


def caught_up(app: App | None, command: RefCommand, store: BaseObjectStore) -> RefCommand:
    """The command from where its branch stands by now, if what it pushes goes on from there; else as it came.

    Somebody who pushed, pressed Ctrl-C and pushed again goes on from a commit that the client saw nowhere yet.
    """
    now = stands(app, command.ref)
    if now is None or command.new is None or not stale(app, command) or not command.ref.startswith("refs/heads/"):
        return command
    return replace(command, old=now) if is_ancestor(store, now, command.new) else command


def is_ancestor(store: BaseObjectStore, old: str, new: str) -> bool:
    """Whether the commit `old` is `new`, or in its history."""
    beyond = Walker(store, [ObjectID(old.encode())], exclude=[ObjectID(new.encode())], max_entries=1)
    return next(iter(beyond), None) is None


def short(ref: str) -> str:
    """A branch or tag as people call it."""
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
