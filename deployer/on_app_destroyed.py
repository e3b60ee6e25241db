"""Mends after app.destroyed: the app's containers and kept output go. At start, reconcile does the same."""

from functools import partial

from deployer.containers import side_by_side
from deployer.ports import Ports
from services.events import AppDestroyed, Recorded


def on_app_destroyed(destroyed: Recorded[AppDestroyed], ports: Ports) -> None:
    """Stop every container of the app, all at once so that they have the same time to end, and remove what is left."""

    def end(container: str) -> None:
        ports.containers.stop(container)
        ports.containers.remove(container)

    side_by_side([partial(end, container.id) for container in ports.containers.list(destroyed.data.app)])
    ports.look.set()
