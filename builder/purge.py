"""The end of an instance's build containers, images and caches."""

from builder import buildstep
from services import engine
from services.settings import Settings


def purge(settings: Settings) -> None:
    """Remove them all; the stack and base images stay. Raises Unavailable when Docker does not answer."""
    client = engine.connect()
    buildstep.remove_leftovers(client, settings, set)
    buildstep.remove_app(client, settings, None)
