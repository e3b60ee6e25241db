"""Mends after app.destroyed: the app's images and build cache go, as far as no container needs them any more."""

from builder import buildstep
from builder.ports import Ports
from services.errors import Unavailable
from services.events import AppDestroyed, Recorded


def on_app_destroyed(destroyed: Recorded[AppDestroyed], ports: Ports) -> None:
    """Remove them. Raises Unavailable while the app's containers are still there: then it is tried again."""
    if not buildstep.remove_app(ports.client, ports.settings, destroyed.data.app):
        raise Unavailable(f"images of {destroyed.data.name} are still used by its containers")
