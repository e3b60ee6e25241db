"""The catalogue: every event that can stand in the log, with its wire name, schema version and one emitting service.

Recorded events live for ever. A field is never renamed or given another meaning: a changed shape is a new schema
version with an upcaster in `UPCASTERS`, and tests/contract/samples keeps a stored sample of each version.
"""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.errors import BrokenLog
from services.names import (
    AddressField,
    AppNameField,
    CommitField,
    ConfigKeyField,
    DigestField,
    FingerprintField,
    HostField,
    KeyNameField,
    ProcessField,
    RefField,
    ScaleField,
    UpstreamField,
    UuidField,
    shown,
)


class Event(BaseModel):
    """What happened, without where and when. Subclasses register themselves in the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    TYPE: ClassVar[str]
    EMITTER: ClassVar[str]
    SCHEMA: ClassVar[int]
    TERMINAL: ClassVar[bool]

    def __init_subclass__(cls, type: str = "", emitter: str = "", schema: int = 1, terminal: bool = False) -> None:
        super().__init_subclass__()
        if type:
            cls.TYPE, cls.EMITTER, cls.SCHEMA, cls.TERMINAL = type, emitter, schema, terminal
            CATALOGUE[type] = cls


CATALOGUE: dict[str, type[Event]] = {}
UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""(wire name, schema version) → a function from that version's data to the next version's."""

E = TypeVar("E", bound=Event, covariant=True)


class Recorded(NamedTuple, Generic[E]):
    """An event as it stands in the log: CloudEvents 1.0 attributes, the log's own, and the data.

    `time` is RFC 3339 in UTC, `position` counts from 1 over the whole log, `version` from 1 within the stream,
    `actor` is `local`, or a key's name and fingerprint, or a service; `origin` is the address that the asker came from
    and `command` the command line, secrets masked, also of what a service did because of it; both are empty for what a
    service did on its own. `hash` chains to the event before.
    """

    position: int
    id: str
    stream: str
    version: int
    type: str
    schema: int
    source: str
    subject: str
    time: str
    actor: str
    origin: str
    command: str
    correlationid: str
    causationid: str
    data: E
    hash: str


SEALED = "sealed"
MASK = "***"


def without_secrets(event: Event) -> dict[str, Any]:
    """An event's data as JSON, with a mask for each sealed value."""
    data = event.model_dump(mode="json")
    for name, field in type(event).model_fields.items():
        if SEALED in field.metadata:
            data[name] = dict.fromkeys(data[name], MASK)
    return data


def decode(type: str, schema: int, data: str) -> Event:
    """The event of a stored row, whose `data` are JSON, upcast to today's shape.

    Raises BrokenLog for a type or schema version that this Pushlog does not know, and for data that are not of the
    type's shape: nothing is ever skipped.
    """
    model = CATALOGUE.get(type)
    if model is None:
        raise BrokenLog(f"the log holds {type!r}, which this Pushlog does not know; run the version that wrote it")
    if not 1 <= schema <= model.SCHEMA:
        raise BrokenLog(f"the log holds {type} in schema {schema}, not in 1 to {model.SCHEMA}; upgrade Pushlog")
    try:
        if schema == model.SCHEMA:
            event: Event = model.__pydantic_validator__.validate_json(data)  # model_validate_json takes 0.2 µs more
            return event
        fields = json.loads(data)
        for version in range(schema, model.SCHEMA):
            fields = UPCASTERS[type, version](fields)
        return model.model_validate(fields)
    except json.JSONDecodeError as error:
        raise BrokenLog(f"the log holds {type} whose data are not JSON: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "data"
        raise BrokenLog(f"the log holds {type} with a bad {shown(where)}: {first['msg']}") from None


def app_stream(app: str) -> str:
    """An app's desired state and releases."""
    return f"app/{app}"


def name_stream(name: str) -> str:
    """Whose an app name is."""
    return f"name/{name}"


def domain_stream(host: str) -> str:
    """Whose a domain is."""
    return f"domain/{host}"


def key_stream(fingerprint: str) -> str:
    """One SSH key's story."""
    return f"key/{fingerprint}"


AUDIT = "audit"
"""What was asked of the platform itself, or refused."""

ADDRESSES = "addresses"
"""Which addresses of the apps' network were taken, one deploy after the other."""


def work_stream(trigger: str) -> str:
    """The work that the event with the id `trigger` asks for: its claims and outcome."""
    return f"work/{trigger}"


def types_in(names: Mapping[str, Any]) -> frozenset[type[Event]]:
    """The event types among a module's `globals()`: what a state's module imports is what changes that state."""
    return frozenset(set(CATALOGUE.values()).intersection(value for value in names.values() if isinstance(value, type)))


SealedConfig = Annotated[dict[ConfigKeyField, str], SEALED]
"""Config keys and their sealed values (services/keyring.py)."""


class AppEvent(Event):
    """An event about one app, by the app's uuid."""

    app: UuidField


class Claim(AppEvent):
    """On the work's stream, and the only such event that is no outcome: somebody begins it, the `attempt`th time."""

    attempt: int = Field(ge=1)


# Keys (gitreceiver)


class KeyAdded(Event, type="key.added", emitter="gitreceiver", terminal=True):
    """A public key may push and command. `public_key` is `<algorithm> <base64>`."""

    name: KeyNameField
    fingerprint: FingerprintField
    public_key: str


class KeyRemoved(Event, type="key.removed", emitter="gitreceiver", terminal=True):
    """A public key may do nothing from here on."""

    name: KeyNameField
    fingerprint: FingerprintField


# Apps and their desired state (configsvc)


class NameTaken(AppEvent, type="name.taken", emitter="configsvc", terminal=True):
    """On `name/<name>`: the name is this app's."""

    name: AppNameField


class NameFreed(AppEvent, type="name.freed", emitter="configsvc", terminal=True):
    """On `name/<name>`: the name is anyone's again."""

    name: AppNameField


class AppCreated(AppEvent, type="app.created", emitter="configsvc", terminal=True):
    """On `app/<uuid>`: an app exists."""

    name: AppNameField


class AppDestroyed(AppEvent, type="app.destroyed", emitter="configsvc", schema=2):
    """On `app/<uuid>`: the app serves no more; its containers and route follow. For a while it can be had back.

    In schema 1, which has the same fields, its key, images and repository went at once.
    """

    name: AppNameField


UPCASTERS["app.destroyed", 1] = dict


class AppRestored(AppEvent, type="app.restored", emitter="configsvc", terminal=True):
    """On `app/<uuid>`: a destroyed app exists again under `name`, with the releases and settings that it had."""

    name: AppNameField


class AppShredded(AppEvent, type="app.shredded", emitter="configsvc"):
    """On `app/<uuid>`: a destroyed app cannot be had back; its key, images and repository follow."""

    name: AppNameField


class DomainTaken(AppEvent, type="domain.taken", emitter="configsvc", terminal=True):
    """On `domain/<host>`: the domain is this app's."""

    host: HostField


class DomainFreed(AppEvent, type="domain.freed", emitter="configsvc", terminal=True):
    """On `domain/<host>`: the domain is anyone's again."""

    host: HostField


class ConfigChanged(AppEvent, type="config.changed", emitter="configsvc", terminal=True):
    """Config keys set, to sealed values (services/keyring.py), and unset."""

    set: SealedConfig = Field(default_factory=dict)
    unset: list[ConfigKeyField] = Field(default_factory=list)


class FormationChanged(AppEvent, type="formation.changed", emitter="configsvc", terminal=True):
    """How many containers of the named process types are wanted."""

    formation: dict[ProcessField, ScaleField]


class ReleaseCreated(AppEvent, type="release.created", emitter="configsvc"):
    """An app's whole desired state under the next number: v1, v2, …

    `image` is the image's id, `processes` the Procfile's commands, `formation` how many of each, `config` sealed.
    `push` is the id of the push.received it came from, or empty; `deploy` is false for what is only recorded.
    """

    number: int = Field(ge=1)
    change: str
    image: DigestField
    commit: CommitField
    config: SealedConfig
    processes: dict[ProcessField, str]
    formation: dict[ProcessField, ScaleField]
    domains: list[HostField]
    push: str = ""
    deploy: bool = True


class ReleaseRefused(AppEvent, type="release.refused", emitter="configsvc", terminal=True):
    """On `app/<uuid>`: no release was made of a build; `reason` is a sentence."""

    reason: str


# Who asked for what and was refused (gitreceiver)


class CommandRefused(Event, type="command.refused", emitter="gitreceiver", terminal=True):
    """On `audit`: what a known key asked for was refused, `count` times within a minute; the last time for `reason`.

    Who, from where and which command line stand beside the data, as of the last time.
    """

    reason: str
    count: int = Field(ge=1)


class KeyringRekeyed(Event, type="keyring.rekeyed", emitter="gitreceiver", terminal=True):
    """On `audit`: another master key wraps the data keys, of which there were `keys`."""

    keys: int = Field(ge=0)


# A push (gitreceiver)


class PushReceived(AppEvent, type="push.received", emitter="gitreceiver", schema=2):
    """A pack is durable and its commit `new` is to be built. `old` is the ref's commit before, empty for a new ref.

    `tree` is the object id of the commit's tree: what is built is this tree, made of the repository's objects whenever
    it is wanted. `pack` is the SHA-256 of the bytes of the pack file as the repository stored it, so with the objects
    that a thin pack leaves out; it is empty when the push brought no object. It proves what was stored then. The
    repository may put its packs together later, so objects are found by `new` and `tree`, never by `pack`.

    In schema 1 tree and pack are unknown, and `source` is the blob of the tree as a tar; later events have none.
    """

    ref: RefField
    old: CommitField | None
    new: CommitField
    tree: CommitField | None = None
    pack: DigestField | None = None
    source: DigestField | None = None


UPCASTERS["push.received", 1] = dict


class RefMoved(AppEvent, type="ref.moved", emitter="gitreceiver", terminal=True):
    """A branch or tag points to `new` from here on. `deploys` tells the deploy branch from stored ones."""

    ref: RefField
    old: CommitField | None
    new: CommitField
    deploys: bool


class RefDeleted(AppEvent, type="ref.deleted", emitter="gitreceiver", terminal=True):
    """A branch or tag that pointed to `old` is gone. It is never the deploy branch."""

    ref: RefField
    old: CommitField


class RefRefused(AppEvent, type="ref.refused", emitter="gitreceiver", terminal=True):
    """On `app/<uuid>`: the branch of a push did not move although `release` serves; `reason` is a sentence."""

    release: int
    reason: str


# A build (builder), on work/<push.received id>


class BuildStarted(Claim, type="build.started", emitter="builder", terminal=True):
    """A builder claimed the push, for the `attempt`th time."""


class BuildSucceeded(AppEvent, type="build.succeeded", emitter="builder"):
    """The image of a push. `image` and `stack` are image ids, `output` the blob of what the build printed."""

    attempt: int
    image: DigestField
    stack: DigestField
    buildpack: str
    processes: dict[ProcessField, str]
    commit: CommitField
    output: DigestField


class BuildFailed(AppEvent, type="build.failed", emitter="builder", terminal=True):
    """No image came of a push; `reason` is a sentence."""

    attempt: int
    reason: str
    output: DigestField | None


class ImageRestored(AppEvent, type="image.restored", emitter="builder", terminal=True):
    """On `work/<push.received id>`: the image `image` was gone and is made again; on this host it is `restored`."""

    image: DigestField
    restored: DigestField
    stack: DigestField


class ImageLost(AppEvent, type="image.lost", emitter="builder", terminal=True):
    """On `work/<push.received id>`: the image `image` is gone and could not be made again; `reason` is a sentence."""

    image: DigestField
    reason: str


# A deploy (deployer) and its route (router), on work/<release.created id>


class Slot(BaseModel):
    """One container of a deploy: `web.1` at the address that the deployer assigned.

    `made_by` is the release.created id and `attempt` the attempt that started it: a scale or a domain change keeps
    running containers whose `spec` (a digest of all that Docker is told) is unchanged.
    """

    # a copy with another address is checked when an event is made of it: what is recorded can be read
    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")
    process: ProcessField
    number: int = Field(ge=1)
    address: AddressField
    port: int = Field(ge=0, le=65535)
    spec: str
    made_by: str
    attempt: int


class DeployStarted(Claim, type="deploy.started", emitter="deployer", terminal=True):
    """A deployer claimed the release, for the `attempt`th time, and will run exactly these containers."""

    release: int
    slots: list[Slot]


class AddressesTaken(AppEvent, type="addresses.taken", emitter="deployer", terminal=True):
    """On `addresses`, with deploy.started: its new containers will answer here, and no other app's do.

    An address is free again when the log has no container there any more.
    """

    addresses: list[AddressField]


class ContainersMoved(AppEvent, type="containers.moved", emitter="deployer", terminal=True):
    """A release's containers answer elsewhere from here on: on another network, or as the app was had back."""

    release: int
    slots: list[Slot]


class DeploySucceeded(AppEvent, type="deploy.succeeded", emitter="deployer"):
    """The release's containers are up and healthy, and not routed yet."""

    release: int
    attempt: int
    slots: list[Slot]


class DeployFailed(AppEvent, type="deploy.failed", emitter="deployer", terminal=True):
    """The release does not serve, and never will; its containers are gone. `output` holds their last lines."""

    release: int
    attempt: int
    reason: str
    output: DigestField | None


class RoutePublished(AppEvent, type="route.published", emitter="router"):
    """The release answered through nginx and the one before no longer does. No hosts: an app without web.

    `replaces` is the number of the release that was current before, if there was one.
    """

    release: int
    attempt: int
    hosts: list[HostField]
    upstreams: list[UpstreamField]
    replaces: int | None
    push: str


class RouteRejected(AppEvent, type="route.rejected", emitter="router"):
    """nginx did not take the release's route; every app is served as before."""

    release: int
    attempt: int
    reason: str


class ReleaseRetired(AppEvent, type="release.retired", emitter="deployer", terminal=True):
    """The containers that `release` left behind are drained and stopped."""

    release: int
    by: int


class RetireFailed(AppEvent, type="retire.failed", emitter="deployer", terminal=True):
    """The containers that `release` left behind could not be stopped; mending removes them. `reason` is a sentence."""

    release: int
    by: int
    reason: str


class CloudEvent:
    """The CloudEvents 1.0 shape of a recorded event."""

    @staticmethod
    def of(recorded: Recorded[Event]) -> Mapping[str, Any]:
        """A JSON-ready mapping: CloudEvents attributes, the log's as extensions, and `data`."""
        return {
            "specversion": "1.0",
            "id": recorded.id,
            "source": f"/pushlog/{recorded.source}",
            "type": recorded.type,
            "subject": recorded.subject,
            "time": recorded.time,
            "datacontenttype": "application/json",
            "schemaversion": recorded.schema,
            "position": recorded.position,
            "stream": recorded.stream,
            "version": recorded.version,
            "actor": recorded.actor,
            "origin": recorded.origin,
            "command": recorded.command,
            "correlationid": recorded.correlationid,
            "causationid": recorded.causationid,
            "hash": recorded.hash,
            "data": recorded.data.model_dump(mode="json"),
        }
