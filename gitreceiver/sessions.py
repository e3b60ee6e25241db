"""One session: `git push`, `git clone`, or a command of the table. Nothing else can be run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from cli import dispatch
from cli.table import Command
from gitreceiver import refusals, room
from gitreceiver.context import SessionContext
from gitreceiver.git.command import parse_git_command
from gitreceiver.git.receive_pack import receive_pack
from gitreceiver.git.repository import repository
from gitreceiver.git.upload_pack import upload_pack
from gitreceiver.moves import side_by_side
from gitreceiver.on_app_shredded import remove
from gitreceiver.on_git_push import Pusher
from gitreceiver.ports import Ports
from gitreceiver.session import Session
from gitreceiver.state import App, creator
from services.chain import Cause, uuid7
from services.errors import BadInput, PushlogError


def run(session: Session, ports: Ports, call: Callable[..., Any]) -> int | None:
    """Run what the session asks for; returns its exit code, or None when the session is ended already."""
    try:
        return _run(session, ports, call)
    except Exception:
        raise
    except BaseException as error:  # a deadline that nobody caught, or an exit: it ends the session, and no service
        raise RuntimeError(f"a session ended with {error!r}") from error


def _run(session: Session, ports: Ports, call: Callable[..., Any]) -> int | None:
    key = ports.key_version(session.actor)
    cause = Cause("gitreceiver", session.actor, session.origin, dispatch.masked(session.argv), uuid7(), key_version=key)

    def failed(command: Command | None, error: PushlogError) -> None:
        if refusals.counts(command, error):
            ports.refusals.add(cause, refusals.sentence(session.argv, error))

    try:
        asked = parse_git_command(session.argv)
    except BadInput as error:
        ports.refusals.add(cause, str(error))
        raise
    if asked is None:
        with ports.stories.following(cause.correlationid) as events:
            context = SessionContext(session, ports, call, cause, events)
            with context.turn:
                return dispatch.run(context, session.argv, failed)
    verb, name = asked
    cause = replace(cause, command=f"{verb} {name}")  # no word of it is a secret
    session.patience = ports.limits.input_seconds
    ports.projections.catch_up()
    if verb == "git-receive-pack":
        push(session, ports, Pusher(ports, call, cause, name))
    else:
        app = ports.state.named(name)
        refs = side_by_side(app.refs, app.deploy_branch)
        upload_pack(session, repository(ports.settings.home, app.id), refs=refs, head=app.deploy_branch)
    return None


def push(session: Session, ports: Ports, pusher: Pusher) -> None:
    """Serve one `git push`. A repository that was made for an app which then was not created goes again."""
    app = ports.state.find(pusher.name)
    if app:
        pusher.repository, pusher.found = app.id, True
    limited = app or App(pusher.repository, pusher.name, creator=creator(pusher.cause.actor))
    receive_pack(
        session,
        replace(repository(ports.settings.home, pusher.repository), room=partial(room.require, ports, limited)),
        refs=dict(app.refs) if app else {},
        settings=ports.settings,
        decide=pusher.decide,
        refused=partial(ports.refusals.add, pusher.cause),
    )
    if ports.state.known(pusher.repository) is None:
        remove(ports, pusher.repository)
