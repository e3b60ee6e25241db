"""Mends after app.shredded: what the app printed goes. Reconcile does the same."""

from deployer.ports import Ports
from services.events import AppShredded, Recorded


def on_app_shredded(shredded: Recorded[AppShredded], ports: Ports) -> None:
    """Forget the kept lines of every app that cannot be had back."""
    forget(ports)


def forget(ports: Ports) -> None:
    """Keep only the lines of apps that are there or can be had back."""
    ports.archive.keep_only(ports.state.apps.keys() | ports.state.gone.keys())
