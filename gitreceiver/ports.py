"""What the door's handlers are given."""

from dataclasses import dataclass, field

from gitreceiver import keys
from gitreceiver.called import Called
from gitreceiver.refusals import Refusals
from gitreceiver.removals import Removals
from gitreceiver.ssh.limits import DoorLimits
from gitreceiver.state import State
from gitreceiver.stories import Stories
from gitreceiver.trees import Trees
from gitreceiver.turns import Turns
from services.blobs import Blobs, Outputs
from services.decide import KEY_REMOVED
from services.errors import Refused
from services.eventlog import EventLog
from services.keyring import Keyring
from services.platform import Platform
from services.projections import Projections
from services.settings import Settings
from services.sources import Sources


@dataclass(frozen=True)
class Ports:
    """`stories` collects the events that a session follows."""

    settings: Settings
    log: EventLog
    projections: Projections
    state: State
    stories: Stories
    keyring: Keyring
    blobs: Blobs
    sources: Sources
    trees: Trees
    outputs: Outputs
    refusals: Refusals
    called: Called
    removals: Removals = field(default_factory=Removals)
    turns: Turns = field(default_factory=Turns)
    limits: DoorLimits = field(default_factory=DoorLimits)

    def authorized_key(self, fingerprint: str, public_key: str) -> str | None:
        """The name of a key that may enter, or None."""
        return keys.authorized(self.state, fingerprint, public_key)

    def key_version(self, actor: str) -> int:
        """The version of the stream of an actor's key, 0 for `local`. Raises Refused when the key may not enter."""
        _, _, fingerprint = actor.partition(" ")
        if fingerprint and fingerprint not in self.state.keys:
            raise Refused(KEY_REMOVED)
        return self.state.key_versions.get(fingerprint, 0)

    def url(self, host: str) -> str:
        """Where a host is reached."""
        port = self.settings.http_port
        return f"http://{host}" + ("" if port == 80 else f":{port}")


def build(platform: Platform) -> Ports:
    """The ports of this process."""
    state, stories, called, removals = State(), Stories(), Called(), Removals()
    platform.projections.add(state)
    platform.projections.add(called)
    platform.projections.listen(stories)
    platform.projections.listen(removals)
    refusals = Refusals(platform.log)
    platform.endings.append(refusals.record_all)
    return Ports(
        settings=platform.settings,
        log=platform.log,
        projections=platform.projections,
        state=state,
        stories=stories,
        keyring=platform.keyring,
        blobs=platform.blobs,
        sources=platform.sources,
        trees=Trees(platform.settings, platform.blobs, platform.sources),
        outputs=platform.outputs,
        refusals=refusals,
        called=called,
        removals=removals,
    )
