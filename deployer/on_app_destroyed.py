"""Mends after app.destroyed: the app's containers and kept output go. At start, reconcile does the same."""

from deployer.ports import Ports
from services.events import AppDestroyed, Recorded


def on_app_destroyed(destroyed: Recorded[AppDestroyed], ports: Ports) -> None:
    """Stop and remove every container of the app."""
    for container in ports.containers.list(destroyed.data.app):
        ports.containers.stop(container.id)
        ports.containers.remove(container.id)
    ports.archive.remove(destroyed.data.app)
