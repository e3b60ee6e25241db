"""What becomes of a push: it waits its turn, is recorded, and its build and deploy are shown until its end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from uuid import uuid4

from gitreceiver import stories
from gitreceiver.ports import Ports
from gitreceiver.quarantine import Quarantine
from gitreceiver.receive_pack import Progress, RefCommand
from gitreceiver.state import App, expected
from gitreceiver.tree import Limits, write_tar
from services.chain import Cause, Draft, uuid7
from services.errors import Conflict, Refused
from services.events import PushReceived, RefMoved, app_stream

FIRST_CHOICE = ("refs/heads/main", "refs/heads/master")
STALE = "fetch first"
TURN = 2.0
"""Seconds between looks while another push has its turn; its end wakes us earlier."""


@dataclass
class Pusher:
    """One `git push` to the app called `name`; `repository` is the app's uuid, or the one it gets if it is new."""

    ports: Ports
    call: Callable[..., Any]
    cause: Cause
    name: str
    repository: str = field(default_factory=lambda: str(uuid4()))

    def decide(
        self, commands: list[RefCommand], quarantine: Quarantine, progress: Progress
    ) -> Mapping[str, str | None]:
        """The verdict on each ref: None, or why it did not move. Returns when the deploy has come to an end.

        What is only stored moves at once; the deploy branch moves when its release serves.
        """
        app = self._turn(progress)
        stale = {c.ref: STALE for c in commands if c.old != (app.refs.get(c.ref) if app else None)}
        fresh = [command for command in commands if command.ref not in stale]
        deploy = deploying(app, [command.ref for command in fresh])
        verdict: dict[str, str | None] = {**stale, **{command.ref: None for command in fresh}}
        push = next((command for command in fresh if command.ref == deploy), None)
        source, skipped = self._source(quarantine, push) if push else ("", [])
        if app is None:
            app = self._create(progress)
        stored = [command for command in fresh if command is not push]
        self._store(app, stored, deploy, quarantine, progress)
        if push:
            for path in skipped:
                progress(f" !     {path} is a submodule; it is not fetched\n".encode())
            verdict[push.ref] = self._deploy(app, push, source, quarantine, progress)
        return verdict

    def _turn(self, progress: Progress) -> App | None:
        """The app once no other push to it is under way; None when there is no such app yet."""
        said, turn = False, 0
        while True:
            self.ports.projections.catch_up()
            app = self.ports.state.find(self.name)
            if app is None or not app.pending:
                return app
            if not said:
                progress(f"-----> Waiting for the push to {self.name} before this one\n".encode())
                said = True
            turn = self.ports.projections.wait(turn, TURN)

    def _source(self, quarantine: Quarantine, push: RefCommand) -> tuple[str, list[str]]:
        """The blob of the pushed tree as a tar, and its submodules. Raises BadInput for a tree that is refused."""
        skipped: list[str] = []

        def write(file: BinaryIO) -> None:
            skipped.extend(write_tar(quarantine.store, push.new or "", file, Limits.of(self.ports.settings)))

        return self.ports.blobs.put(write), skipped

    def _create(self, progress: Progress) -> App:
        """Create the app that this is the first push to. Raises Refused when its name was taken meanwhile."""
        progress(f"-----> Creating {self.name}\n".encode())
        self.call("configsvc", "create_app", name=self.name, app=self.repository, cause=vars_of(self.cause))
        self.ports.projections.catch_up()
        app = self.ports.state.apps.get(self.repository)
        if app is None:
            raise Refused(f"app: {self.name} was destroyed meanwhile")
        return app

    def _store(
        self, app: App, stored: list[RefCommand], deploy: str | None, quarantine: Quarantine, progress: Progress
    ) -> None:
        """Move the refs that do not deploy, and say so."""
        branch = short(deploy or app.deploy_branch or "")
        for command in stored:
            quarantine.keep(uuid7(), command.new or "")
            moved = RefMoved(app=app.id, ref=command.ref, old=command.old, new=command.new or "", deploys=False)
            self.ports.log.append([Draft(app_stream(app.id), app.name, moved)], self.cause, expect=expected(app))
            self.ports.projections.catch_up()
            why = f"; {branch} is the deploy branch" if branch else ""
            progress(f"-----> {short(command.ref)} is stored and not deployed{why}\n".encode())

    def _deploy(
        self, app: App, push: RefCommand, source: str, quarantine: Quarantine, progress: Progress
    ) -> str | None:
        """Record the push and show what comes of it; returns why it was refused, or None."""
        id_ = uuid7()
        quarantine.keep(id_, push.new or "")
        received = PushReceived(app=app.id, ref=push.ref, old=push.old, new=push.new or "", source=source)
        with self.ports.stories.following(id_) as events:
            try:
                draft = Draft(app_stream(app.id), app.name, received, id_)
                self.ports.log.append(
                    [draft], Cause(**vars_of(self.cause) | {"correlationid": id_}), expect=expected(app)
                )
            except Conflict:
                return f"{app.name} changed while this was received; push again"
            ending = stories.push_ending(self.ports.url)
            for part in stories.follow(id_, events, self.ports.outputs, self.ports.projections, ending):
                if isinstance(part, bytes):
                    progress(part)
                else:
                    text, code = part
                    progress(text.encode())
                    return None if code == 0 else "pre-receive hook declined"
        raise AssertionError("a story ends with an ending")


def deploying(app: App | None, refs: list[str]) -> str | None:
    """Which of the pushed `refs` is built: the deploy branch, or before there is one main, master, or the first."""
    if app and app.deploy_branch:
        return app.deploy_branch if app.deploy_branch in refs else None
    branches = [ref for ref in refs if ref.startswith("refs/heads/")]
    return next((ref for ref in FIRST_CHOICE if ref in branches), branches[0] if branches else None)


def short(ref: str) -> str:
    """A branch or tag as people call it."""
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


def vars_of(cause: Cause) -> dict[str, str]:
    """A cause as JSON."""
    return {name: getattr(cause, name) for name in Cause.__slots__}
