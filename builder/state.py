"""What the builder knows: a fold over the log of every push's build."""

from dataclasses import dataclass, field
from typing import ClassVar

from services.events import (
    AppCreated,
    AppDestroyed,
    BuildFailed,
    BuildStarted,
    BuildSucceeded,
    ConfigChanged,
    Event,
    PushReceived,
    Recorded,
    types_in,
)


@dataclass
class Build:
    """One push's build: `status` is pending, running, succeeded or failed; `attempt` counts its claims."""

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


@dataclass
class App:
    """An app's builds by the id of their push, oldest first, and its config, sealed: builds see it."""

    id: str
    name: str
    config: dict[str, str] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)


@dataclass
class State:
    """Apps by uuid."""

    takes: ClassVar = types_in(globals())
    apps: dict[str, App] = field(default_factory=dict)

    def attempts(self) -> set[tuple[str, int]]:
        """Which attempt at which work is running, as far as the log knows."""
        builds = [build for app in self.apps.values() for build in app.builds.values()]
        return {(build.id, build.attempt) for build in builds if build.status == "running"}

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        match event.data:
            case AppCreated(app=app, name=name):
                self.apps[app] = App(app, name)
            case AppDestroyed(app=app):
                self.apps.pop(app, None)
            case ConfigChanged(app=app) as change if app in self.apps:
                self.apps[app].config.update(change.set)
                for key in change.unset:
                    self.apps[app].config.pop(key, None)
            case PushReceived(app=app, new=new) if app in self.apps:
                builds = self.apps[app].builds
                builds[event.id] = Build(event.id, len(builds) + 1, new)
            case BuildStarted(app=app) | BuildSucceeded(app=app) | BuildFailed(app=app) if app in self.apps:
                evolve_build(self.apps[app].builds[event.causationid], event)
            case _:
                pass


def evolve_build(build: Build, event: Recorded[Event]) -> None:
    """Take in what happened to one build."""
    match event.data:
        case BuildStarted(attempt=attempt):
            build.status, build.attempt, build.started = "running", attempt, build.started or event.time
        case BuildSucceeded(buildpack=buildpack, output=output):
            build.status, build.buildpack, build.output, build.finished = "succeeded", buildpack, output, event.time
        case BuildFailed(reason=reason, output=output):
            build.status, build.reason, build.output, build.finished = "failed", reason, output, event.time
        case _:
            pass
