"""What the builder knows: a fold over the log of every push's build."""

from dataclasses import dataclass, field
from typing import ClassVar

from services.events import (
    AppCreated,
    AppDestroyed,
    AppEvent,
    AppRestored,
    AppShredded,
    BuildFailed,
    BuildStarted,
    BuildSucceeded,
    ConfigChanged,
    DeployFailed,
    Event,
    ImageLost,
    ImageRestored,
    PushReceived,
    Recorded,
    ReleaseCreated,
    ReleaseRefused,
    ReleaseRetired,
    RetireFailed,
    RoutePublished,
    types_in,
)

KEPT = 5
"""How many releases before the current one have their images kept."""

TURNS = frozenset({RoutePublished, ReleaseRetired, RetireFailed, AppShredded})
"""After which images may not be needed any more."""


@dataclass
class Build:
    """One push's build: `status` is pending, running, succeeded or failed; `attempt` counts its claims.

    `source` is the blob of the tree's tar that pushes of old versions have, else empty.
    """

    id: str
    number: int
    commit: str
    started: str = ""
    finished: str = ""
    status: str = "pending"
    attempt: int = 0
    buildpack: str = ""
    reason: str = ""
    output: str | None = None
    source: str = ""
    image: str = ""
    stack: str = ""


@dataclass
class App:
    """An app's builds by the id of their push, oldest first, and its config, sealed: builds see it.

    `images` are the pushes that images came of, `releases` the images of the current release and of those that may
    follow it, `before` those of the last KEPT before it that served or could have, `released` all images that a release
    was made of, or refused; `restored` is what an image that was gone is on this host, `lost` those that cannot be had
    again; `outputs` the blobs of what failed deploys printed.
    """

    id: str
    name: str
    config: dict[str, str] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    releases: dict[int, str] = field(default_factory=dict)
    before: dict[int, str] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    restored: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)

    def blobs(self) -> set[str]:
        """The digests of what was pushed, and of what builds and failed deploys printed."""
        built = {digest for build in self.builds.values() for digest in (build.source, build.output) if digest}
        return built | self.outputs

    def needed(self) -> dict[str, Build]:
        """The images that serve, or will, and the builds that they came of."""
        images = dict.fromkeys(self.releases.values())
        return {i: self.builds[self.images[i]] for i in images if i in self.images and i not in self.lost}

    def standing(self) -> dict[int, str]:
        """What these images are on this host, by the releases that need them."""
        needed = self.needed()
        return {number: self.here(i) for number, i in self.releases.items() if i in needed}

    def surplus(self) -> set[str]:
        """The images, by their ids on this host, that a release was made of and that none to be kept is of."""
        kept = {*self.before.values(), *self.releases.values(), *(self.images.keys() - self.released)}
        here = {self.here(image) for image in kept} | kept
        return {self.here(image) for image in self.images if image not in kept} - here

    def here(self, image: str) -> str:
        """What an image is on this host."""
        return self.restored.get(image, image)


@dataclass
class State:
    """Apps by uuid; `gone` are destroyed ones that can still be restored. `turns` counts how often an app's old
    containers were done with, or its end was (TURNS). `left` are the blobs of apps that cannot be had back.
    """

    takes: ClassVar = types_in(globals())
    apps: dict[str, App] = field(default_factory=dict)
    gone: dict[str, App] = field(default_factory=dict)
    turns: int = 0
    left: set[str] = field(default_factory=set)

    def attempts(self) -> set[tuple[str, int]]:
        """Which attempt at which work is running, as far as the log knows."""
        builds = [build for app in self.apps.values() for build in app.builds.values()]
        return {(build.id, build.attempt) for build in builds if build.status == "running"}

    def building(self) -> set[tuple[str, str]]:
        """The app and push of each build without an outcome, also of apps that can be restored."""
        apps = (*self.apps.values(), *self.gone.values())
        return {(app.id, b.id) for app in apps for b in app.builds.values() if b.status in ("pending", "running")}

    def leftovers(self) -> set[str]:
        """The digests of the blobs that shredded apps left, unless another app has the same."""
        return self.left.difference(*(app.blobs() for app in (*self.apps.values(), *self.gone.values())))

    def restorable(self) -> set[tuple[str, int]]:
        """The attempts at which an image that is needed would be made again."""
        return {(build.id, build.attempt) for app in self.apps.values() for build in app.needed().values()}

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        self.turns += type(event.data) in TURNS
        match event.data:
            case AppCreated(app=app, name=name):
                self.apps[app] = App(app, name)
            case AppDestroyed(app=app):
                self.gone[app] = self.apps.pop(app)
            case AppRestored(app=app, name=name):
                self.apps[app] = self.gone.pop(app)
                self.apps[app].name = name
            case AppShredded(app=app):
                if known := self.gone.pop(app, None):
                    self.left |= known.blobs()
            case AppEvent(app=app):
                if known := self.apps.get(app) or self.gone.get(app):
                    evolve_app(known, event)
            case _:
                pass


def evolve_app(app: App, event: Recorded[Event]) -> None:
    """Take in what happened to one app."""
    match event.data:
        case ConfigChanged() as change:
            app.config.update(change.set)
            for key in change.unset:
                app.config.pop(key, None)
        case PushReceived(new=new, source=source):
            app.builds[event.id] = Build(event.id, len(app.builds) + 1, new, source=source or "")
        case BuildStarted() | BuildSucceeded() | BuildFailed():
            evolve_build(app.builds[event.causationid], event)
            if isinstance(event.data, BuildSucceeded):
                app.images[event.data.image] = event.causationid
        case ReleaseRefused():
            if build := app.builds.get(event.correlationid):
                app.released.add(build.image)
        case _:
            evolve_images(app, event.data)


def evolve_images(app: App, data: Event) -> None:
    """Take in which images an app needs, and what became of them."""
    match data:
        case ReleaseCreated(number=number, image=image):
            app.releases[number] = image
            app.released.add(image)
            app.lost.discard(image)  # whoever asks for it once more has it tried once more
        case RoutePublished(release=release):
            app.before |= {number: image for number, image in app.releases.items() if number < release}
            app.before = dict(sorted(app.before.items())[-KEPT:])
            app.releases = {number: image for number, image in app.releases.items() if number >= release}
        case DeployFailed(release=release, output=output):
            app.releases.pop(release, None)
            app.outputs |= {output} if output else set()
        case ImageRestored(image=image, restored=restored):
            app.restored[image] = restored
        case ImageLost(image=image):
            app.lost.add(image)
        case _:
            pass


def evolve_build(build: Build, event: Recorded[Event]) -> None:
    """Take in what happened to one build."""
    match event.data:
        case BuildStarted(attempt=attempt):
            build.status, build.attempt, build.started = "running", attempt, build.started or event.time
        case BuildSucceeded(buildpack=buildpack, output=output, image=image, stack=stack):
            build.status, build.buildpack, build.output, build.finished = "succeeded", buildpack, output, event.time
            build.image, build.stack = image, stack
        case BuildFailed(reason=reason, output=output):
            build.status, build.reason, build.output, build.finished = "failed", reason, output, event.time
        case _:
            pass
