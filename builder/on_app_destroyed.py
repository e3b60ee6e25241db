"""Mends after app.destroyed: the app's images and build cache go. At start, what no app has goes the same way."""

from builder import buildstep
from builder.ports import Ports
from services.errors import Unavailable
from services.events import AppDestroyed, Recorded


def on_app_destroyed(destroyed: Recorded[AppDestroyed], ports: Ports) -> None:
    """Remove them. Raises Unavailable while the app's containers are still there: then it is tried again."""
    if not buildstep.remove_app(ports.client, ports.settings, destroyed.data.app):
        raise Unavailable(f"images of {destroyed.data.name} are still used by its containers")


def mend(ports: Ports) -> None:
    """Remove what a dead builder's attempts left, and what apps left that are gone."""
    buildstep.remove_leftovers(ports.client, ports.settings, ports.attempts)
    there = buildstep.apps_with_images(ports.client, ports.settings)
    ports.projections.catch_up()
    for app in there - set(ports.state.apps):
        buildstep.remove_app(ports.client, ports.settings, app)
