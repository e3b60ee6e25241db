"""Whether what a backup's events say can have happened, one after the other: a fold that refuses the first that cannot.

Each event may be well-formed, and the chain of their hashes right, and yet a name be two apps'. No command and no
service records that, and every decision relies on it.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from gitreceiver.archive import BadBackup
from services.events import (
    AppCreated,
    AppDestroyed,
    AppEvent,
    AppRestored,
    AppShredded,
    ContainersMoved,
    DeployStarted,
    DeploySucceeded,
    DomainFreed,
    DomainTaken,
    Event,
    FormationChanged,
    NameFreed,
    NameTaken,
    Recorded,
    ReleaseCreated,
    RoutePublished,
    Slot,
    app_stream,
    domain_stream,
    name_stream,
)
from services.names import MAX_SCALE, shown
from services.names import matches as fits

PORTS = range(1, 1 << 16)
NUMBER = r"^[1-9][0-9]{0,4}$"


@dataclass
class Sound:
    """What has to hold. `living` are apps' names by uuid, `ended` those that were destroyed or shredded.

    Names and domains are by whose they are, `releases` the number of each app's last one.
    """

    living: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    releases: dict[str, int] = field(default_factory=dict)

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve. Raises BadBackup for what cannot have happened."""
        fault = next(self._ownership(event), None) or next(told(event.data), None)
        if fault:
            raise BadBackup(f"the backup's events make no state: event {event.position}, {event.type}: {fault}")

    def end(self) -> None:
        """Raise BadBackup unless the names that are taken are those of the apps that there are."""
        if {app: name for name, app in self.names.items()} != self.living or len(self.names) != len(self.living):
            raise BadBackup("the backup's events make no state: its apps are not those whose names are taken")

    def _ownership(self, event: Recorded[Event]) -> Iterator[str]:
        """What is wrong with an event about whose a name, a domain or a release is, and take it in."""
        match event.data:
            case NameTaken(app=app, name=name):
                yield from self._take(self.names, name, app, event.stream == name_stream(name))
            case NameFreed(app=app, name=name):
                yield from self._free(self.names, name, app, event.stream == name_stream(name))
            case DomainTaken(app=app, host=host):
                yield from self._take(self.domains, host, app, event.stream == domain_stream(host))
            case DomainFreed(app=app, host=host):
                yield from self._free(self.domains, host, app, event.stream == domain_stream(host))
            case AppCreated() | AppRestored() | AppDestroyed() | AppShredded():
                yield from self._live(event.data, event.stream)
            case AppEvent(app=app) if app not in self.living and app not in self.ended:
                yield "there was no such app"
            case ReleaseCreated(app=app, number=number):
                if event.stream != app_stream(app):
                    yield "it stands in another stream"
                if number != self.releases.get(app, 0) + 1:
                    yield f"release {number} does not follow from release {self.releases.get(app, 0)}"
                self.releases[app] = number
            case _:
                pass

    def _live(self, event: AppCreated | AppRestored | AppDestroyed | AppShredded, stream: str) -> Iterator[str]:
        app, known = event.app, event.app in self.living or event.app in self.ended
        begins = isinstance(event, AppCreated | AppRestored)
        if stream != app_stream(app):
            yield "it stands in another stream"
        if known == isinstance(event, AppCreated):
            yield "there is such an app already" if known else "there was no such app"
        if begins and self.names.get(event.name) != app:
            yield f"the name {event.name} is not the app's"
        if begins:
            self.living[app] = event.name
            self.ended.discard(app)
        else:
            self.living.pop(app, None)
            self.ended.add(app)

    def _take(self, owners: dict[str, str], what: str, app: str, right: bool) -> Iterator[str]:
        if not right:
            yield "it stands in another stream"
        if what in owners:
            yield f"{what} is taken already"
        owners[what] = app

    def _free(self, owners: dict[str, str], what: str, app: str, right: bool) -> Iterator[str]:
        if not right:
            yield "it stands in another stream"
        if owners.pop(what, None) != app:
            yield f"{what} is not the app's"


def told(event: Event) -> Iterator[str]:
    """What is wrong with an event's own values, which Docker and nginx are told."""
    match event:
        case FormationChanged(formation=formation) | ReleaseCreated(formation=formation):
            for process, number in formation.items():
                if not 0 <= number <= MAX_SCALE:
                    yield f"{process}={number}; allowed are 0 to {MAX_SCALE}"
        case DeployStarted(slots=slots) | DeploySucceeded(slots=slots) | ContainersMoved(slots=slots):
            for slot in slots:
                yield from slot_told(slot)
        case RoutePublished(upstreams=upstreams):
            for upstream in upstreams:
                address, _, port = upstream.rpartition(":")
                if not (is_address(address.removeprefix("[").removesuffix("]")) and fits(NUMBER, port)):
                    yield f"{shown(upstream)} is not an address and port"
        case _:
            pass


def slot_told(slot: Slot) -> Iterator[str]:
    """What is wrong with one container."""
    if not is_address(slot.address):
        yield f"{shown(slot.address)} is not an address"
    if slot.port not in PORTS or slot.number > MAX_SCALE:
        yield f"there is no container {slot.number} at port {slot.port}"


def is_address(text: str) -> bool:
    """Whether `text` is an IP address in its plain spelling."""
    try:
        return str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False
