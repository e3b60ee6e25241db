"""Mends after app.shredded: the app's repository goes. At start, what no app has goes the same way."""

import shutil

from gitreceiver import old_sources
from gitreceiver.backup import staging
from gitreceiver.git.quarantine import clean_quarantines
from gitreceiver.git.repository import INCOMING, repositories
from gitreceiver.ports import Ports
from services.events import AppShredded, Recorded


def on_app_shredded(shredded: Recorded[AppShredded], ports: Ports) -> None:
    """Remove the app's repository."""
    remove(ports, shredded.data.app)


def remove(ports: Ports, app: str) -> None:
    """Remove the repository that the uuid `app` has, if it has one."""
    for known, path in repositories(ports.settings.home):
        if known == app:
            shutil.rmtree(path, ignore_errors=True)


def mend(ports: Ports) -> None:
    """Remove what pushes of a dead process left, and repositories of apps that cannot be restored or never were.

    A repository that a push is coming into right now may be that of an app which is created in a moment.
    """
    clean_quarantines(ports.settings.home)
    ports.sources.clean()
    staging.clean(ports.settings.home)
    coming = {app for app, path in repositories(ports.settings.home) if any((path / INCOMING).glob("*"))}
    ports.projections.catch_up()
    for app, _ in list(repositories(ports.settings.home)):
        if ports.state.known(app) is None and app not in coming:
            remove(ports, app)
    old_sources.remove(ports)
