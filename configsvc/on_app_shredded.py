"""Mends after app.shredded: the app's data key goes, and no value of it can be read again. At start, so do strays."""

from configsvc.ports import Ports
from services.events import AppShredded, Recorded


def on_app_shredded(shredded: Recorded[AppShredded], ports: Ports) -> None:
    """Delete the data key."""
    ports.keyring.shred(shredded.data.app)


def mend(ports: Ports) -> None:
    """Delete the data keys of apps that cannot be had back. Keys are listed before the log is read: see seal."""
    there = ports.keyring.apps()
    ports.projections.catch_up()
    for app in there - ports.state.apps.keys() - ports.state.gone.keys():
        ports.keyring.shred(app)
