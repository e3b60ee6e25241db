"""Mends after app.destroyed: the app's hosts are unknown from here on. At start, `mend` does the same."""

from router.ports import Ports
from services.events import AppDestroyed, Recorded


def on_app_destroyed(destroyed: Recorded[AppDestroyed], ports: Ports) -> None:
    """Serve every app but the destroyed one."""
    ports.mend()
