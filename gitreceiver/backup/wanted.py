"""What a backup takes of an app besides its events: a fold over the log."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from services.events import (
    AppCreated,
    AppShredded,
    BuildFailed,
    BuildSucceeded,
    ConfigChanged,
    DeployFailed,
    Event,
    ImageRestored,
    PushReceived,
    Recorded,
    RefMoved,
    ReleaseCreated,
    RoutePublished,
    types_in,
)

TAKES = types_in(globals())
RELEASES = 5
"""How many releases before the current one are to be had back: as many as have their images kept."""


class Tree(NamedTuple):
    """A pushed tree: its commit, and the blob of the tar that pushes of old versions have, else empty."""

    source: str
    commit: str


@dataclass
class App:
    """An app that is there, or can be had back.

    `held` are the commits that it was pushed, by the id that they are held under; `pushes` the trees of the pushes
    that were to be deployed, `building` those without an outcome, `images` the push that each image comes of.
    `restored` is what an image that was made again is on its host. It has a key if anything of it was `sealed`.
    """

    name: str
    held: dict[str, str] = field(default_factory=dict)
    pushes: dict[str, Tree] = field(default_factory=dict)
    building: set[str] = field(default_factory=set)
    images: dict[str, str] = field(default_factory=dict)
    releases: dict[int, str] = field(default_factory=dict)
    restored: dict[str, str] = field(default_factory=dict)
    current: int = 0
    sealed: bool = False

    def serving(self) -> set[str]:
        """What the images of the current release and of those after it are on their host."""
        return {self.restored.get(i, i) for number, i in self.releases.items() if number >= self.current}

    def kept(self) -> set[str]:
        """The images of the current release, of those after it and of the last before it."""
        before = [number for number in self.releases if number < self.current]
        first = min(sorted(before)[-RELEASES:], default=0)
        return {image for number, image in self.releases.items() if number >= first}

    def trees(self) -> Iterator[Tree]:
        """The trees that these images, and images that are to come, are made from."""
        pushes = self.building | {self.images[image] for image in self.kept() if image in self.images}
        return (self.pushes[push] for push in sorted(pushes))


@dataclass
class Wanted:
    """Apps by uuid."""

    apps: dict[str, App] = field(default_factory=dict)

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        data = event.data
        if type(data) not in TAKES:
            return
        match data:
            case AppCreated(app=app, name=name):
                self.apps[app] = App(name)
            case AppShredded(app=app):
                self.apps.pop(app, None)
            case _:
                if known := self.apps.get(getattr(data, "app", "")):
                    evolve_app(known, event)

    def names(self) -> set[str]:
        """The parts that an archive may have of the apps: their repositories, and the source of any old push."""
        sources = {tree.source for app in self.apps.values() for tree in app.pushes.values() if tree.source}
        return {f"repositories/{app}.pack" for app in self.apps} | {
            f"blobs/{s.removeprefix('sha256:')}" for s in sources
        }

    def trees(self) -> dict[str, list[Tree]]:
        """Each app's trees, by its uuid, each once."""
        return {id_: list(dict.fromkeys(app.trees())) for id_, app in self.apps.items()}


def evolve_app(app: App, event: Recorded[Event]) -> None:
    """Take in what happened to one app."""
    match event.data:
        case PushReceived(new=new, source=source):
            app.held[event.id] = new
            app.pushes[event.id] = Tree(source or "", new)
            app.building.add(event.id)
        case RefMoved(new=new, deploys=False):
            app.held[event.correlationid] = new
        case BuildSucceeded(image=image):
            app.images[image] = event.causationid
            app.building.discard(event.causationid)
        case BuildFailed():
            app.building.discard(event.causationid)
        case ImageRestored(image=image, restored=restored):
            app.restored[image] = restored
        case ReleaseCreated(number=number, image=image):
            app.releases[number] = image
        case DeployFailed(release=release):
            app.releases.pop(release, None)  # nothing goes back to it
        case RoutePublished(release=release):
            app.current = release
        case ConfigChanged(set=set_):
            app.sealed |= bool(set_)
        case _:
            pass
