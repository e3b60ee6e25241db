"""Hop 1: git push → push.received. It waits its turn, is recorded, and its build and deploy are shown to their end."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from gitreceiver import stories
from gitreceiver.deleting import delete
from gitreceiver.git.checking import Found
from gitreceiver.git.measure import unusable
from gitreceiver.git.quarantine import Quarantine
from gitreceiver.git.receive_pack import DECLINED, Progress, RefCommand
from gitreceiver.moves import caught_up, deploying, occupied, refusal, short, stands, to_delete
from gitreceiver.ports import Ports
from gitreceiver.state import App, expected
from services import disk
from services.chain import Cause, Draft, uuid7
from services.decide import Decision, commit
from services.errors import PushlogError, Refused
from services.events import Event, PushReceived, Recorded, RefMoved, app_stream
from services.names import shown

TURN = 2.0
"""Seconds between looks while another push has its turn; its end wakes us earlier."""


class NotYet(PushlogError):
    """Another push got its turn between the look and the append."""


@dataclass
class Pusher:
    """One `git push` to the app called `name`. `repository` is the uuid of the app that was `found` when it began, or
    the one that a new app gets.
    """

    ports: Ports
    call: Callable[..., Any]
    cause: Cause
    name: str
    repository: str = field(default_factory=lambda: str(uuid4()))
    found: bool = False

    def decide(
        self, commands: list[RefCommand], quarantine: Quarantine, progress: Progress
    ) -> Mapping[str, str | None]:
        """The verdict on each ref: None, or why it did not move. Returns when the deploy has come to an end.

        What is only stored moves at once; the deploy branch moves when its release serves.
        """
        app = self._app()
        verdict = {gone.ref: delete(self.ports, self.cause, app, gone, progress) for gone in commands if not gone.new}
        wanted = [command for command in commands if command.new]
        if deploying(app, [command.ref for command in wanted]):
            app = self._turn(progress)
        if warning := to_delete(app):
            progress(f" !     {warning}\n".encode())
        fresh = self._fresh(app, wanted, verdict, quarantine, progress)
        deploy = deploying(app, [command.ref for command in fresh])
        push = next((command for command in fresh if command.ref == deploy), None)
        if push:
            refuse_unusable(quarantine.found[push.ref], self.ports.settings.home)
        if fresh and app is None:
            app = self._create(progress)
        for command in fresh:
            if app and command is not push:
                verdict[command.ref] = self._store(app.id, command, deploy, quarantine, progress)
        if app and push:
            tell_submodules(quarantine.found[push.ref], progress)
            verdict[push.ref] = self._deploy(app.id, push, quarantine, progress)
        return verdict

    def _fresh(
        self,
        app: App | None,
        wanted: list[RefCommand],
        verdict: dict[str, str | None],
        quarantine: Quarantine,
        progress: Progress,
    ) -> list[RefCommand]:
        """The commands that move a ref and may, the one that deploys first; the others get their verdict."""
        fresh, names = [], occupied(app)
        first = deploying(app, [command.ref for command in wanted])
        for command in sorted(wanted, key=lambda command: command.ref != first):
            time.sleep(0)  # others have a turn
            if command.ref == first:
                command = caught_up(app, command, quarantine)
            if command.new == stands(app, command.ref):
                verdict[command.ref] = None
                progress(f"-----> {short(command.ref)} stands there already\n".encode())
            elif reason := refusal(app, command, names):
                verdict[command.ref] = reason
            else:
                fresh.append(command)
                names.add(command.ref)
        return fresh

    def _app(self) -> App | None:
        """The app that this push began with, None while it is new. Raises Refused when the name has another by now."""
        self.ports.projections.catch_up()
        app = self.ports.state.find(self.name)
        if app is None and self.found:
            raise Refused(f"app: {self.name} was destroyed meanwhile")
        if app is not None and app.id != self.repository:
            raise Refused(f"app: {self.name} was created by somebody else meanwhile; push again")
        return app

    def _turn(self, progress: Progress) -> App | None:
        """The app once no other push to it is under way; None when there is no such app yet."""
        said, turn = False, 0
        while True:
            app = self._app()
            if app is None or not app.pending:
                return app
            if not said:
                progress(f"-----> Waiting for the push to {self.name} before this one\n".encode())
                said = True
            turn = self.ports.projections.wait(turn, TURN)

    def _create(self, progress: Progress) -> App:
        """Create the app that this is the first push to. Raises Refused when its name was taken meanwhile."""
        progress(f"-----> Creating {self.name}\n".encode())
        try:
            self.call("configsvc", "create_app", name=self.name, app=self.repository, cause=vars_of(self.cause))
        except Refused:
            self._app()  # says it better when another push was faster
            raise
        app = self._app()
        if app is None:
            raise Refused(f"app: {self.name} was destroyed meanwhile")
        self.found = True
        return app

    def _store(
        self, app: str, command: RefCommand, deploy: str | None, quarantine: Quarantine, progress: Progress
    ) -> str | None:
        """Move a ref that does not deploy, and say so; returns why it was refused, or None."""
        id_ = uuid7()
        quarantine.keep(id_, command.new or "")

        def decide() -> Decision:
            known = self._still(app, command)
            moved = RefMoved(app=app, ref=command.ref, old=command.old, new=command.new or "", deploys=False)
            return Decision([Draft(app_stream(app), known.name, moved)], expected(known))

        try:
            commit(self.ports.log, self.ports.projections, decide, replace(self.cause, correlationid=id_))
        except Refused as error:
            return str(error)
        branch = short(deploy or self.ports.state.apps[app].deploy_branch or "")
        why = f"; {branch} is the deploy branch" if branch else ""
        progress(f"-----> {short(command.ref)} is stored and not deployed{why}\n".encode())
        return None

    def _deploy(self, app: str, push: RefCommand, quarantine: Quarantine, progress: Progress) -> str | None:
        """Record the push and show what comes of it; returns why it was refused, or None."""
        id_ = uuid7()
        tree = quarantine.found[push.ref].tree
        quarantine.keep(id_, push.new or "")

        def decide() -> Decision:
            known = self._still(app, push)
            if known.pending:
                raise NotYet
            received = PushReceived(
                app=app, ref=push.ref, old=push.old, new=push.new or "", tree=tree, pack=quarantine.pack
            )
            return Decision([Draft(app_stream(app), known.name, received, id_)], expected(known))

        with self.ports.stories.following(id_) as events:
            cause = replace(self.cause, correlationid=id_)
            while not events:
                self._turn(progress)
                try:
                    commit(self.ports.log, self.ports.projections, decide, cause)
                except NotYet:
                    continue
                except Refused as error:
                    return str(error)
            return self._show(id_, events, progress)

    def _still(self, app: str, command: RefCommand) -> App:
        """The app as it is now. Raises Refused when it is gone, or the ref may not move any more."""
        known = self.ports.state.apps.get(app)
        if known is None:
            raise Refused(f"app: {self.name} was destroyed meanwhile")
        if reason := refusal(known, command, occupied(known)):
            raise Refused(reason)
        return known

    def _show(self, correlation: str, events: list[Recorded[Event]], progress: Progress) -> str | None:
        """Show a recorded push until it has come to an end; returns why it was refused, or None."""
        ending = stories.push_ending(self.ports.url)
        for part in stories.follow(correlation, events, self.ports.outputs, self.ports.projections, ending):
            if not isinstance(part, bytes):
                progress(part[0].encode())
                return DECLINED if part[1] else None
            progress(part)
        raise AssertionError("a story ends with an ending")


def refuse_unusable(found: Found, home: Path) -> None:
    """Raise BadInput for a tree that no build could have, Unavailable for one whose build would wait for room."""
    disk.require(home, found.tar)
    if found.link is not None:
        raise unusable(found.link)


def tell_submodules(found: Found, progress: Progress) -> None:
    """Say which submodules of a tree are left out."""
    for path in found.submodules:
        progress(f" !     {shown(path)} is a submodule; it is not fetched\n".encode())
    if found.more:
        progress(f" !     {found.more} more submodules are not fetched\n".encode())


def vars_of(cause: Cause) -> dict[str, str]:
    """A cause as JSON."""
    return {name: getattr(cause, name) for name in Cause.__slots__}
