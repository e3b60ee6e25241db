"""What the builder's handlers are given."""

from dataclasses import dataclass

import docker

from builder.state import State
from services import engine
from services.blobs import Blobs, Outputs
from services.claims import Claims
from services.eventlog import EventLog
from services.keyring import Keyring
from services.platform import Platform
from services.projections import Projections
from services.settings import Settings
from services.sources import Sources


@dataclass(frozen=True)
class Ports:
    """`client` builds; `blobs` holds what builds printed, `sources` the trees that are built."""

    settings: Settings
    log: EventLog
    projections: Projections
    state: State
    claims: Claims
    keyring: Keyring
    blobs: Blobs
    sources: Sources
    outputs: Outputs
    client: docker.DockerClient

    def attempts(self) -> set[tuple[str, int]]:
        """Which attempt at which work may have a container by now."""
        self.projections.catch_up()
        return self.state.attempts() | self.state.restorable()

    def running(self) -> set[tuple[str, int]]:
        """The same but for images that are made again: only who does that may ask."""
        self.projections.catch_up()
        return self.state.attempts()


def build(platform: Platform) -> Ports:
    """The ports of this process."""
    state = State()
    platform.projections.add(state)
    return Ports(
        settings=platform.settings,
        log=platform.log,
        projections=platform.projections,
        state=state,
        claims=platform.claims,
        keyring=platform.keyring,
        blobs=platform.blobs,
        sources=platform.sources,
        outputs=platform.outputs,
        client=engine.connect(),
    )
