"""What the router knows: a fold over the log of every app's published route, and of what its releases ask for."""

from dataclasses import dataclass, field
from typing import ClassVar

from services.events import (
    AppCreated,
    AppDestroyed,
    AppRestored,
    AppShredded,
    ContainersMoved,
    Event,
    Recorded,
    ReleaseCreated,
    RoutePublished,
    types_in,
)


@dataclass
class App:
    """An app's releases by number, the routed one and later ones, and the route that is published, if any.

    `returns` counts how often the app was had back.
    """

    id: str
    name: str
    releases: dict[int, ReleaseCreated] = field(default_factory=dict)
    route: RoutePublished | None = None
    returns: int = 0

    def come_back(self, name: str) -> None:
        """Exist again. The route leads nowhere until the containers have addresses again."""
        self.name, self.returns = name, self.returns + 1
        if self.route:
            self.route = self.route.model_copy(update={"upstreams": []})

    def evolve(self, event: Event) -> None:
        """Take in a release, or the route of one."""
        match event:
            case ReleaseCreated() as release:
                self.releases[release.number] = release
            case RoutePublished() as route:
                self.route = route
                self.releases = {n: release for n, release in self.releases.items() if n >= route.release}
            case ContainersMoved() as moved:
                self.route = after(moved, self.route)
            case _:
                pass


@dataclass
class State:
    """Apps by uuid; `gone` are destroyed ones that can still be had back."""

    takes: ClassVar = types_in(globals())
    apps: dict[str, App] = field(default_factory=dict)
    gone: dict[str, App] = field(default_factory=dict)

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        match event.data:
            case AppCreated(app=app, name=name):
                self.apps[app] = App(app, name)
            case AppDestroyed(app=app):
                self.gone[app] = self.apps.pop(app)
            case AppRestored(app=app, name=name):
                self.apps[app] = self.gone.pop(app)
                self.apps[app].come_back(name)
            case AppShredded(app=app):
                self.gone.pop(app, None)
            case ReleaseCreated(app=app) | RoutePublished(app=app) | ContainersMoved(app=app):
                if known := self.apps.get(app) or self.gone.get(app):
                    known.evolve(event.data)
            case _:
                pass


def after(moved: ContainersMoved, route: RoutePublished | None) -> RoutePublished | None:
    """The published route when the containers that it leads to answer elsewhere."""
    if route is None or not route.hosts or route.release != moved.release:
        return route
    upstreams = [f"{slot.address}:{slot.port}" for slot in moved.slots if slot.process == "web"]
    return route.model_copy(update={"upstreams": upstreams})
