"""What the door knows: a fold over the log of the keys, and of every app's refs and pushes."""

from dataclasses import dataclass, field

from services.errors import NoSuchApp
from services.events import (
    AppCreated,
    AppDestroyed,
    BuildFailed,
    DeployFailed,
    Event,
    KeyAdded,
    KeyRemoved,
    PushReceived,
    Recorded,
    RefMoved,
    RefRefused,
    ReleaseRefused,
    app_stream,
    types_in,
)

TAKES = types_in(globals())


@dataclass(frozen=True)
class Key:
    """An SSH key that may enter. `public_key` is `<algorithm> <base64>`."""

    name: str
    fingerprint: str
    public_key: str
    added: str


@dataclass
class App:
    """An app's refs, its deploy branch once a push of it was routed, and the pushes without an outcome by their id."""

    id: str
    name: str
    version: int = 0
    refs: dict[str, str] = field(default_factory=dict)
    deploy_branch: str | None = None
    pending: dict[str, PushReceived] = field(default_factory=dict)


@dataclass
class State:
    """Apps by uuid and keys by fingerprint, with the version of each key's stream."""

    apps: dict[str, App] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    key_versions: dict[str, int] = field(default_factory=dict)

    def find(self, name: str) -> App | None:
        """The app called `name`, or None."""
        return next((app for app in self.apps.values() if app.name == name), None)

    def named(self, name: str) -> App:
        """The app called `name`. Raises NoSuchApp."""
        if (app := self.find(name)) is None:
            raise NoSuchApp.named(name)
        return app

    def key_named(self, name: str) -> Key:
        """The key called `name`. Raises KeyError."""
        return {key.name: key for key in self.keys.values()}[name]

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        if type(event.data) in TAKES:
            self._evolve(event)
        if event.stream.startswith("app/") and (known := self.apps.get(event.stream.removeprefix("app/"))):
            known.version = event.version

    def _evolve(self, event: Recorded[Event]) -> None:
        match event.data:
            case KeyAdded() as key:
                self.keys[key.fingerprint] = Key(key.name, key.fingerprint, key.public_key, event.time)
                self.key_versions[key.fingerprint] = event.version
            case KeyRemoved(fingerprint=fingerprint):
                self.keys.pop(fingerprint, None)
                self.key_versions[fingerprint] = event.version
            case AppCreated(app=app, name=name):
                self.apps[app] = App(app, name)
            case AppDestroyed(app=app):
                self.apps.pop(app, None)
            case PushReceived(app=app) as push if app in self.apps:
                self.apps[app].pending[event.id] = push
            case BuildFailed() | ReleaseRefused() | DeployFailed() | RefRefused() as failed if failed.app in self.apps:
                self.apps[failed.app].pending.pop(event.correlationid, None)
            case RefMoved(app=app) as moved if app in self.apps:
                self._move(self.apps[app], moved, event.correlationid)
            case _:
                pass

    def _move(self, app: App, moved: RefMoved, correlation: str) -> None:
        app.refs[moved.ref] = moved.new
        if moved.deploys:
            app.deploy_branch = app.deploy_branch or moved.ref
            app.pending.pop(correlation, None)


def expected(app: App) -> dict[str, int]:
    """What an append that was decided on this app's state expects."""
    return {app_stream(app.id): app.version}
