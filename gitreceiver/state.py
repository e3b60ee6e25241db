"""What the door knows: a fold over the log of the keys, and of every app's refs and pushes."""

from dataclasses import dataclass, field

from services.errors import NoSuchApp
from services.events import (
    AppCreated,
    AppDestroyed,
    AppEvent,
    AppRestored,
    AppShredded,
    BuildFailed,
    BuildSucceeded,
    DeployFailed,
    Event,
    KeyAdded,
    KeyRemoved,
    PushReceived,
    Recorded,
    RefDeleted,
    RefMoved,
    RefRefused,
    ReleaseCreated,
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
    """An app's refs, its deploy branch once a push of it was routed, and the pushes without an outcome by their id.

    `creator` is the key (name and fingerprint) that created it, empty for `local`; `released` are the pushes that
    releases were made of, `outputs` the blobs of what builds and failed deploys printed, `sources` the pushes of old
    versions, which kept their trees as blobs.
    """

    id: str
    name: str
    version: int = 0
    creator: str = ""
    refs: dict[str, str] = field(default_factory=dict)
    deploy_branch: str | None = None
    pending: dict[str, PushReceived] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)
    sources: dict[str, PushReceived] = field(default_factory=dict)


@dataclass
class State:
    """Apps by uuid and keys by fingerprint, with the version of each key's stream.

    `gone` are destroyed apps that can still be restored.
    """

    apps: dict[str, App] = field(default_factory=dict)
    gone: dict[str, App] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    key_versions: dict[str, int] = field(default_factory=dict)

    def known(self, app: str) -> App | None:
        """The app with this uuid, be it that it is destroyed and can be restored."""
        return self.apps.get(app) or self.gone.get(app)

    def all(self) -> list[App]:
        """Every app, also those that are destroyed and can be restored."""
        return [*self.apps.values(), *self.gone.values()]

    def find(self, name: str) -> App | None:
        """The app called `name`, or None."""
        return next((app for app in self.apps.values() if app.name == name), None)

    def named(self, name: str) -> App:
        """The app called `name`. Raises NoSuchApp."""
        if (app := self.find(name)) is None:
            raise NoSuchApp.named(name)
        return app

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        if type(event.data) in TAKES:
            self._evolve(event)
        if event.stream.startswith("app/") and (known := self.known(event.stream.removeprefix("app/"))):
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
                self.apps[app] = App(app, name, creator=creator(event.actor))
            case AppDestroyed(app=app):
                self.gone[app] = self.apps.pop(app)
            case AppRestored(app=app, name=name):
                self.apps[app] = self.gone.pop(app)
                self.apps[app].name = name
            case AppShredded(app=app):
                self.gone.pop(app, None)
            case AppEvent(app=app):
                if known := self.known(app):
                    self._evolve_app(known, event)
            case _:
                pass

    def _evolve_app(self, app: App, event: Recorded[Event]) -> None:
        if isinstance(event.data, BuildSucceeded | BuildFailed | DeployFailed) and event.data.output:
            app.outputs.add(event.data.output)
        match event.data:
            case PushReceived() as push:
                app.pending[event.id] = push
                if push.source:
                    app.sources[event.id] = push
            case BuildFailed() | ReleaseRefused() | DeployFailed() | RefRefused():
                app.pending.pop(event.correlationid, None)
            case ReleaseCreated(push=push):
                app.released |= {push} if push else set()
            case RefMoved() as moved:
                self._move(app, moved, event.correlationid)
            case RefDeleted(ref=ref):
                app.refs.pop(ref, None)
            case _:
                pass

    def _move(self, app: App, moved: RefMoved, correlation: str) -> None:
        app.refs[moved.ref] = moved.new
        if moved.deploys:
            app.deploy_branch = app.deploy_branch or moved.ref
            app.pending.pop(correlation, None)


def creator(actor: str) -> str:
    """The key (name and fingerprint) that an event's actor is; empty for `local` and services."""
    return actor if " SHA256:" in actor else ""


def expected(app: App) -> dict[str, int]:
    """What an append that was decided on this app's state expects."""
    return {app_stream(app.id): app.version}
