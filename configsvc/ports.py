"""What configsvc's handlers are given."""

from dataclasses import dataclass

from configsvc.state import State
from services.eventlog import EventLog
from services.platform import Platform
from services.projections import Projections


@dataclass(frozen=True)
class Ports:
    """`state` is caught up by `projections.catch_up()`; `domain` is the platform's own host."""

    log: EventLog
    projections: Projections
    state: State
    domain: str


def build(platform: Platform) -> Ports:
    """The ports of this process."""
    state = State()
    platform.projections.add(state)
    return Ports(platform.log, platform.projections, state, platform.settings.domain)
