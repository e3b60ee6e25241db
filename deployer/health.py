"""Whether a candidate is up: a web process accepts TCP on its port in time, any other stays up."""

import socket
import time
from collections.abc import Callable

from deployer.containers import Look
from services.errors import PushlogError
from services.events import Slot
from services.settings import Settings

WEB = "web"
LOOK = 0.1
"""Seconds between questions to Docker: its answers take CPU from the app that starts."""


class Unhealthy(PushlogError):
    """A candidate that does not come up; the sentence says how."""


def wait(slot: Slot, look: Callable[[], Look | None], settings: Settings) -> None:
    """Return when the container of `slot` is healthy. Raises Unhealthy as soon as it cannot be any more."""
    name = f"{slot.process}.{slot.number}"
    limit = settings.check_timeout if slot.process == WEB else settings.check_uptime
    start = looked = time.monotonic()
    pause = 0.005
    while True:
        if slot.process == WEB and accepts(slot.address, slot.port):
            return
        now = time.monotonic()
        if now - looked >= LOOK or now - start >= limit:
            looked, seen = now, look()
            if seen is None or not seen.running:
                raise Unhealthy(f"{name} {ended(seen)}")
        if now - start >= limit:
            break
        time.sleep(pause)
        pause = min(pause * 1.05, 0.25)
    if slot.process == WEB:
        raise Unhealthy(
            f"{name} did not accept connections on port {slot.port} within {limit:g} s; it must listen on $PORT"
        )


def accepts(address: str, port: int) -> bool:
    """Whether something accepts TCP there, within a second."""
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def ended(seen: Look | None) -> str:
    """How a container ended, in words."""
    if seen is None:
        return "was removed before it was up"
    return f"exited with code {seen.exit_code}" + (f" ({seen.error})" if seen.error else "")
