"""Following a story: the live output and the events of one correlation id, until it has come to an end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.blobs import Outputs
from services.events import (
    AppDestroyed,
    BuildFailed,
    DeployFailed,
    Event,
    Recorded,
    RefMoved,
    RefRefused,
    ReleaseRefused,
    RoutePublished,
)
from services.projections import Projections

LIVE = 0.05
"""Seconds between looks at the live output."""


class Stories:
    """Collects the events of the stories that somebody follows; a live listener, not state."""

    def __init__(self) -> None:
        self._followed: dict[str, list[Recorded[Event]]] = {}
        self._apps: dict[str, str] = {}

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        concerned = {event.correlationid}
        if isinstance(event.data, AppDestroyed):  # its own story and that of each push and change of the app
            concerned |= {correlation for correlation, app in self._apps.items() if app == event.data.app}
        for correlation in concerned & self._followed.keys():
            self._followed[correlation].append(event)
            if app := getattr(event.data, "app", None):
                self._apps[correlation] = app

    @contextmanager
    def following(self, correlation: str) -> Iterator[list[Recorded[Event]]]:
        """The events of a story as they come in, from here on: begin before anything of it is recorded."""
        events: list[Recorded[Event]] = []
        self._followed[correlation] = events
        try:
            yield events
        finally:
            self._followed.pop(correlation, None)
            self._apps.pop(correlation, None)


Ending = tuple[str, int]
"""What is said at the end of a story, and the exit code."""


def follow(
    correlation: str,
    events: list[Recorded[Event]],
    outputs: Outputs,
    projections: Projections,
    ending: Callable[[Recorded[Event]], Ending | None],
) -> Iterator[bytes | Ending]:
    """A story's live output as it comes, and last how it ended: what `ending` makes of the event that ends it."""
    offset = seen = turn = 0
    while True:
        fresh, seen = events[seen:], len(events)
        # the output is written before the event that ends the story, so by now all of it can be read
        while data := outputs.read(correlation, offset):
            offset += len(data)
            yield data
        for event in fresh:
            if (found := ending(event)) is not None:
                outputs.remove(correlation)
                yield found
                return
        turn = projections.wait(turn, LIVE)


def release_ending(url: Callable[[str], str]) -> Callable[[Recorded[Event]], Ending | None]:
    """How the story of a change of settings ends: its release is routed, or failed."""

    def ending(event: Recorded[Event]) -> Ending | None:
        match event.data:
            case RoutePublished() as route:
                return deployed(route, url), 0
            case DeployFailed():
                return failed(event, "The release before goes on serving; the change is kept for the next release."), 1
            case AppDestroyed():
                return destroyed(event), 1
            case _:
                return None

    return ending


def push_ending(url: Callable[[str], str]) -> Callable[[Recorded[Event]], Ending | None]:
    """How the story of a push ends: its ref moved after its release was routed, or something on the way failed."""
    said: list[str] = []

    def ending(event: Recorded[Event]) -> Ending | None:
        match event.data:
            case RoutePublished() as route:
                said.append(deployed(route, url))
                return None
            case RefMoved():
                return "".join(said), 0
            case BuildFailed() as build:
                return error(build.reason, f"See all of it: builds:output {event.subject}"), 1
            case ReleaseRefused(reason=reason):
                return error(f"The build was not released: {reason}", "Push again to try again."), 1
            case DeployFailed():
                return failed(event, f"See what it printed: logs {event.subject}"), 1
            case RefRefused(reason=reason):
                told = error(f"It serves, but its branch did not move: {reason}", "Push again to move the branch.")
                return "".join((*said, told)), 1
            case AppDestroyed():
                return destroyed(event), 1
            case _:
                return None

    return ending


def deployed(route: RoutePublished, url: Callable[[str], str]) -> str:
    """The last lines of a success."""
    if not route.hosts:
        return f"=====> Application deployed; it has no {'domain' if route.upstreams else 'web process'}\n"
    if not route.upstreams:
        return "=====> Application deployed; web is scaled to 0, its hosts answer 502\n"
    return "=====> Application deployed:\n" + "".join(f"       {url(host)}\n" for host in route.hosts)


def failed(event: Recorded[Event], hint: str) -> str:
    """The last lines of a deploy that failed."""
    assert isinstance(event.data, DeployFailed)  # noqa: S101 narrows the type; both callers matched it
    return error(f"v{event.data.release} was not deployed: {event.data.reason}", hint)


def destroyed(event: Recorded[Event]) -> str:
    """The last line of a story whose app is gone."""
    return error(f"{event.subject} was destroyed meanwhile")


def error(*lines: str) -> str:
    """Lines marked as an error."""
    return "".join(f" !     {part}\n" for line in lines for part in line.splitlines())
