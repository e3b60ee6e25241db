"""Mends after app.shredded: the app's images and build cache go. At start, what no app has goes the same way."""

from builder import buildstep
from builder.ports import Ports
from services.errors import Unavailable
from services.events import AppShredded, Recorded


def on_app_shredded(shredded: Recorded[AppShredded], ports: Ports) -> None:
    """Remove them. Raises Unavailable while the app's containers are still there: then it is tried again."""
    ports.sources.remove_app(shredded.data.app)
    if not buildstep.remove_app(ports.client, ports.settings, shredded.data.app):
        raise Unavailable(f"images of {shredded.data.name} are still used by its containers")


def mend(ports: Ports) -> None:
    """Remove what a dead builder's attempts left, and what apps left that cannot be had back."""
    buildstep.remove_leftovers(ports.client, ports.settings, ports.attempts)
    there = buildstep.apps_with_images(ports.client, ports.settings)
    ports.projections.catch_up()
    for app in there - ports.state.apps.keys() - ports.state.gone.keys():
        buildstep.remove_app(ports.client, ports.settings, app)
