"""What the deployer's handlers are given."""

import threading
from dataclasses import dataclass, field

import docker

from deployer import network
from deployer.containers import Containers
from deployer.logs import Archive
from deployer.state import State
from services import engine
from services.blobs import Blobs, Outputs
from services.claims import Claims
from services.eventlog import EventLog
from services.events import AppRestored, Event, ImageRestored, Recorded
from services.keyring import Keyring
from services.platform import Platform
from services.projections import Projections
from services.settings import Settings


@dataclass(frozen=True)
class Ports:
    """`mending` lets one hand at a time rename, start or remove what serves; `look` asks for a look at the world.

    `waiting` are the ids of the releases whose pusher was told that the image is not there.
    """

    settings: Settings
    log: EventLog
    projections: Projections
    state: State
    claims: Claims
    keyring: Keyring
    blobs: Blobs
    outputs: Outputs
    client: docker.DockerClient
    containers: Containers
    archive: Archive
    mending: threading.Lock = field(default_factory=threading.Lock)
    look: threading.Event = field(default_factory=threading.Event)
    waiting: set[str] = field(default_factory=set)

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve: an image, or an app, that is there again is what a container may have waited for."""
        if isinstance(event.data, ImageRestored | AppRestored):
            self.look.set()

    def subnet(self) -> str:
        """The apps' network's subnet; the network is made if it is not there. Raises Unavailable."""
        return network.ensure(self.client, self.settings)


def build(platform: Platform) -> Ports:
    """The ports of this process."""
    state = State()
    platform.projections.add(state)
    client = engine.connect()
    ports = Ports(
        settings=platform.settings,
        log=platform.log,
        projections=platform.projections,
        state=state,
        claims=platform.claims,
        keyring=platform.keyring,
        blobs=platform.blobs,
        outputs=platform.outputs,
        client=client,
        containers=Containers(client, platform.settings),
        archive=Archive(platform.settings.home / "logs"),
    )
    platform.projections.listen(ports)
    return ports
