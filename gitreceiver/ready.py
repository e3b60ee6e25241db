"""What must hold before the door starts."""

from services import listening
from services.settings import Settings


def check(settings: Settings) -> None:
    """Raise Unavailable when the SSH port is taken."""
    listening.check("PUSHLOG_SSH_PORT", settings.ssh_bind, settings.ssh_port)
