"""The tars of trees that version 0.1.0 kept as blobs. A tar is made of git objects now: these go where objects are."""

import logging
from contextlib import suppress

from dulwich.objects import ObjectID

from gitreceiver.git.repository import FOLDER, Repository
from gitreceiver.ports import Ports
from gitreceiver.state import App

log = logging.getLogger("pushlog")


def remove(ports: Ports) -> None:
    """Remove each of these blobs unless a push needs it: its commit is not kept, and a release was made of it."""
    needed = set[str]()
    sources = {push.source for app in ports.state.all() for push in app.sources.values() if push.source}
    for app in ports.state.all():
        there = commits(ports, app)
        wanted = [push for id_, push in app.sources.items() if id_ in app.released or id_ in app.pending]
        needed |= {push.source for push in wanted if push.source and push.new not in there}
    if removed := ports.blobs.remove(sources - needed):
        log.info("removed %d trees that were kept as tars; they are made of git objects now", removed)


def commits(ports: Ports, app: App) -> set[str]:
    """Those of the commits of an app's old pushes that are in its repository."""
    pushed = {push.new for push in app.sources.values()}
    with suppress(FileNotFoundError), Repository(ports.settings.home / FOLDER / f"{app.id}.git").store() as store:
        return {commit for commit in pushed if ObjectID(commit.encode()) in store}
    return set()
