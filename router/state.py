"""What the router knows: a fold over the log of every app's published route, and of what its releases ask for."""

from dataclasses import dataclass, field
from typing import ClassVar

from services.events import (
    AppCreated,
    AppDestroyed,
    ContainersMoved,
    Event,
    Recorded,
    ReleaseCreated,
    RoutePublished,
    types_in,
)


@dataclass
class App:
    """An app's releases by number, the routed one and later ones, and the route that is published, if any."""

    id: str
    name: str
    releases: dict[int, ReleaseCreated] = field(default_factory=dict)
    route: RoutePublished | None = None


@dataclass
class State:
    """Apps by uuid."""

    takes: ClassVar = types_in(globals())
    apps: dict[str, App] = field(default_factory=dict)

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        match event.data:
            case AppCreated(app=app, name=name):
                self.apps[app] = App(app, name)
            case AppDestroyed(app=app):
                self.apps.pop(app, None)
            case ReleaseCreated(app=app) as release if app in self.apps:
                self.apps[app].releases[release.number] = release
            case RoutePublished(app=app) as route if app in self.apps:
                self.apps[app].route = route
                later = {n: release for n, release in self.apps[app].releases.items() if n >= route.release}
                self.apps[app].releases = later
            case ContainersMoved(app=app) as moved if app in self.apps:
                self.apps[app].route = after(moved, self.apps[app].route)
            case _:
                pass


def after(moved: ContainersMoved, route: RoutePublished | None) -> RoutePublished | None:
    """The published route when the containers that it leads to answer elsewhere."""
    if route is None or not route.hosts or route.release != moved.release:
        return route
    upstreams = [f"{slot.address}:{slot.port}" for slot in moved.slots if slot.process == "web"]
    return route.model_copy(update={"upstreams": upstreams})
