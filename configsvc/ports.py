"""What configsvc's handlers are given."""

from dataclasses import dataclass

from configsvc.state import State
from services import subnets
from services.eventlog import EventLog
from services.keyring import Keyring
from services.platform import Platform
from services.projections import Projections


@dataclass(frozen=True)
class Ports:
    """`state` is caught up by `projections.catch_up()`; `domain` is the platform's own host.

    `grace` are the seconds that a destroyed app can be restored, `room` the containers that the apps' network takes.
    """

    log: EventLog
    projections: Projections
    state: State
    domain: str
    keyring: Keyring
    grace: float
    room: int


def build(platform: Platform) -> Ports:
    """The ports of this process."""
    state = State()
    platform.projections.add(state)
    settings = platform.settings
    return Ports(
        log=platform.log,
        projections=platform.projections,
        state=state,
        domain=settings.domain,
        keyring=platform.keyring,
        grace=settings.destroy_grace,
        room=subnets.room(settings.subnet),
    )
