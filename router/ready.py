"""What must hold before the router starts."""

from router.master import Master
from router.nginx import Nginx
from services import listening
from services.settings import Settings


def check(settings: Settings) -> None:
    """Raise Unavailable when the HTTP port is taken, and not by the nginx that is to be adopted."""
    if not Nginx(settings).is_there():
        listening.check("PUSHLOG_HTTP_PORT", settings.http_bind, settings.http_port)


def nginx_pid(settings: Settings) -> int | None:
    """The process id of the instance's nginx, if it runs on this machine."""
    return Master(settings.nginx, settings.home / "nginx").pid()
