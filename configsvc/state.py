"""What configsvc knows: a fold over the log of every app's desired state and releases."""

from dataclasses import dataclass, field
from typing import cast

from services.errors import NoSuchApp
from services.events import (
    AppCreated,
    AppDestroyed,
    AppEvent,
    AppRestored,
    AppShredded,
    ConfigChanged,
    DeployFailed,
    DomainFreed,
    DomainTaken,
    Event,
    FormationChanged,
    NameFreed,
    NameTaken,
    Recorded,
    ReleaseCreated,
    RoutePublished,
    types_in,
)

TAKES = types_in(globals())


@dataclass
class Release:
    """A release as it stands: `status` is pending, recorded (not to be deployed), current, retired or failed."""

    data: ReleaseCreated
    event: str
    correlation: str
    actor: str
    time: str
    status: str


@dataclass
class App:
    """An app's desired state: `config` is sealed, `domains` in the order they were added.

    `since` tells of each setting (`config KEY`, `domain HOST`, `scale PROCESS`, `image`) the position of the event that
    made it what it is.
    """

    id: str
    name: str
    created: str
    config: dict[str, str] = field(default_factory=dict)
    formation: dict[str, int] = field(default_factory=dict)
    domains: list[str] = field(default_factory=list)
    releases: dict[int, Release] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    destroyed: Recorded[AppDestroyed] | None = None

    @property
    def current(self) -> Release | None:
        """The release that serves: the last one routed."""
        return next((r for r in reversed(self.releases.values()) if r.status == "current"), None)

    def come_back(self, name: str) -> None:
        """Exist again, as it was."""
        self.name, self.destroyed = name, None

    @property
    def under_way(self) -> bool:
        """Whether a release is to be deployed, or is being deployed."""
        return any(release.status == "pending" for release in self.releases.values())

    @property
    def base(self) -> Release | None:
        """The release that the next change of settings builds on: the newest that has not failed."""
        return next((r for r in reversed(self.releases.values()) if r.status != "failed"), None)


@dataclass
class State:
    """Apps by uuid, names and domains by their owner, and the version of each stream among these.

    `gone` are destroyed apps that can still be had back.
    """

    apps: dict[str, App] = field(default_factory=dict)
    gone: dict[str, App] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    def named(self, name: str) -> App:
        """The app called `name`. Raises NoSuchApp."""
        if name not in self.names:
            raise NoSuchApp.named(name)
        return self.apps[self.names[name]]

    def version(self, stream: str) -> int:
        """The version of a stream; 0 when nothing stands in it."""
        return self.versions.get(stream, 0)

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        if event.stream.startswith(("app/", "name/", "domain/")):
            self.versions[event.stream] = event.version
        if type(event.data) not in TAKES:
            return
        match event.data:
            case NameTaken(name=name, app=app):
                self.names[name] = app
            case NameFreed(name=name):
                del self.names[name]
            case AppCreated(app=app, name=name):
                self.apps[app] = App(app, name, event.time)
            case AppDestroyed(app=app):
                self.gone[app] = self.apps.pop(app)
                self.gone[app].destroyed = cast(Recorded[AppDestroyed], event)
            case AppRestored(app=app, name=name):
                self.apps[app] = self.gone.pop(app)
                self.apps[app].come_back(name)
            case AppShredded(app=app):
                self.gone.pop(app, None)
            case _:
                self._evolve_app(event)

    def _evolve_app(self, event: Recorded[Event]) -> None:
        match event.data:
            case DomainTaken(app=app, host=host):
                self.domains[host] = app
                self.apps[app].domains.append(host)
                self.apps[app].since[f"domain {host}"] = event.position
            case DomainFreed(app=app, host=host):
                del self.domains[host]
                if app in self.apps:
                    self.apps[app].domains.remove(host)
                    self.apps[app].since[f"domain {host}"] = event.position
            case ConfigChanged(app=app) as change:
                config = self.apps[app].config
                config.update(change.set)
                for key in change.unset:
                    config.pop(key, None)
                self.apps[app].since |= {f"config {key}": event.position for key in [*change.set, *change.unset]}
            case FormationChanged(app=app) as change:
                self.apps[app].formation.update(change.formation)
                self.apps[app].since |= {f"scale {process}": event.position for process in change.formation}
            case _:
                self._evolve_release(event)

    def _evolve_release(self, event: Recorded[Event]) -> None:
        data = event.data
        assert isinstance(data, AppEvent)  # noqa: S101 narrows the type; all that are left are
        app = self.apps.get(data.app) or self.gone.get(data.app)
        if app is None:
            return
        match data:
            case ReleaseCreated():
                status = "pending" if data.deploy else "recorded"
                if (before := app.base) is None or before.data.image != data.image:
                    app.since["image"] = event.position
                app.releases[data.number] = Release(
                    data, event.id, event.correlationid, event.actor, event.time, status
                )
            case DeployFailed():
                app.releases[data.release].status = "failed"
            case RoutePublished():
                if current := app.current:
                    current.status = "retired"
                app.releases[data.release].status = "current"
            case _:
                pass
