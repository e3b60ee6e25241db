"""What the deployer knows: a fold over the log of which containers every app should have."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from services.errors import NoSuchApp
from services.events import (
    AddressesTaken,
    AppCreated,
    AppDestroyed,
    AppEvent,
    AppRestored,
    AppShredded,
    ContainersMoved,
    DeployFailed,
    DeployStarted,
    DeploySucceeded,
    Event,
    ImageLost,
    ImageRestored,
    Recorded,
    ReleaseCreated,
    ReleaseRetired,
    RetireFailed,
    RoutePublished,
    RouteRejected,
    Slot,
    types_in,
)

Identity = tuple[str, int, str, int]
"""Which container a slot is: release.created id, attempt, process type, number. Containers carry it as labels."""


def identity(slot: Slot) -> Identity:
    """The identity of a slot's container."""
    return slot.made_by, slot.attempt, slot.process, slot.number


@dataclass(frozen=True)
class Serving:
    """A release's containers. `up` tells that they came up once: what of them is gone since is brought up again."""

    release: int
    attempt: int
    slots: tuple[Slot, ...]
    up: bool = False


@dataclass
class App:
    """An app's containers: the routed ones, the candidate's, and those that drain.

    `releases` by number: those that are not routed yet, and those that containers come from. `attempts` by number: how
    often each of those that are not routed yet was claimed. `restored` is what an image that was gone is on this host,
    `lost` why one cannot be had again. `returns` counts how often the app was had back.
    """

    id: str
    name: str
    releases: dict[int, Recorded[ReleaseCreated]] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    attempts: dict[int, int] = field(default_factory=dict)
    routed: set[str] = field(default_factory=set)
    current: Serving | None = None
    candidate: Serving | None = None
    retiring: list[Serving] = field(default_factory=list)
    restored: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    returns: int = 0

    def image(self, release: ReleaseCreated) -> str:
        """The image of a release as Docker has it here."""
        return self.restored.get(release.image, release.image)

    def come_back(self, name: str) -> None:
        """Exist again: what stood is to be brought up at other addresses, as those that it had were anyone's.

        Until it is given them (deployer/move.py) it has none.
        """
        standing = self.standing()
        self.name, self.retiring, self.returns = name, [], self.returns + 1
        self.current, self.candidate = (
            replace(serving, slots=tuple(slot.model_copy(update={"address": ""}) for slot in serving.slots))
            if serving in standing
            else None
            for serving in (self.current, self.candidate)
        )

    def slots(self) -> list[Slot]:
        """Every slot whose container should exist."""
        return list(dict.fromkeys(slot for serving in self.servings() for slot in serving.slots))

    def standing(self) -> list[Serving]:
        """What serves, and what came up to serve next."""
        return [serving for serving in (self.current, self.candidate) if serving and serving.up]

    def servings(self) -> list[Serving]:
        """Those of which containers should exist."""
        return [serving for serving in (self.current, self.candidate, *self.retiring) if serving]


@dataclass
class State:
    """Apps by uuid, and the version of the stream on which addresses are taken.

    `gone` are destroyed apps that can still be had back; no container is theirs.
    """

    takes: ClassVar = types_in(globals())
    apps: dict[str, App] = field(default_factory=dict)
    gone: dict[str, App] = field(default_factory=dict)
    version: int = 0

    def named(self, name: str) -> App:
        """The app called `name`. Raises NoSuchApp."""
        for app in self.apps.values():
            if app.name == name:
                return app
        raise NoSuchApp.named(name)

    def addresses(self) -> set[str]:
        """Every address that is some container's."""
        return {slot.address for app in self.apps.values() for slot in app.slots()}

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        match event.data:
            case AddressesTaken():
                self.version = event.version
            case AppCreated(app=app, name=name):
                self.apps[app] = App(app, name)
            case AppDestroyed(app=app):
                self.gone[app] = self.apps.pop(app)
            case AppRestored(app=app, name=name):
                self.apps[app] = self.gone.pop(app)
                self.apps[app].come_back(name)
            case AppShredded(app=app):
                self.gone.pop(app, None)
            case AppEvent(app=app):
                if known := self.apps.get(app) or self.gone.get(app):
                    evolve_app(known, event)
            case _:
                pass


def evolve_app(app: App, event: Recorded[Event]) -> None:
    """Take in what happened to one app's containers."""
    match event.data:
        case ReleaseCreated(number=number):
            app.releases[number] = event  # type: ignore[assignment]
            app.lost.pop(event.data.image, None)  # the builder tries it once more
        case ImageRestored(image=image, restored=restored):
            app.restored[image] = restored
        case ImageLost(image=image, reason=reason):
            app.lost[image] = reason
        case ContainersMoved(release=release, slots=slots):
            if app.candidate and app.candidate.release == release:
                app.candidate = replace(app.candidate, slots=tuple(slots))
            elif app.current and app.current.release == release:
                app.current = replace(app.current, slots=tuple(slots))
        case DeployStarted(release=release) | DeploySucceeded(release=release) as data:
            app.attempts[release] = data.attempt
            app.candidate = Serving(release, data.attempt, tuple(data.slots), isinstance(data, DeploySucceeded))
        case RouteRejected(release=release):
            if app.candidate and app.candidate.release == release:
                app.candidate = replace(app.candidate, up=False)
        case DeployFailed(release=release):
            app.failed.add(release)
            app.candidate = None
        case RoutePublished(release=release):
            after = replace(app.candidate or Serving(release, 0, ()), up=True)
            kept = set(map(identity, after.slots))
            if app.current and (left := tuple(s for s in app.current.slots if identity(s) not in kept)):
                app.retiring.append(Serving(app.current.release, app.current.attempt, left))
            app.current, app.candidate = after, None
            app.routed.add(app.releases[release].data.image)
            forget(app, release)
        case ReleaseRetired(release=release) | RetireFailed(release=release):
            app.retiring = [part for part in app.retiring if part.release != release]
        case _:
            pass


def forget(app: App, current: int) -> None:
    """Drop the releases before the current one that no container comes from: nothing is compared with them any more."""
    made = {slot.made_by for serving in app.servings() for slot in serving.slots}
    app.releases = {n: release for n, release in app.releases.items() if n >= current or release.id in made}
    app.failed = {n for n in app.failed if n > current}
    app.attempts = {n: attempt for n, attempt in app.attempts.items() if n > current}
