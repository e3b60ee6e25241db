"""The end of an instance's nginx."""

from router.nginx import Nginx
from services.settings import Settings


def purge(settings: Settings) -> None:
    """Stop the instance's nginx, if it runs."""
    Nginx(settings).stop()
