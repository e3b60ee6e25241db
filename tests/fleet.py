"""A fleet of apps that live side by side: logs of any length that hold what real ones hold, in an order that can be.

Everything comes from the given `Random`, so one seed is one log.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import count
from random import Random
from uuid import UUID
from warnings import catch_warnings, simplefilter

from services import chain
from services.chain import Cause, Draft, Head
from services.events import (
    ADDRESSES,
    AUDIT,
    AddressesTaken,
    AppCreated,
    AppDestroyed,
    AppRestored,
    AppShredded,
    BuildFailed,
    BuildStarted,
    BuildSucceeded,
    CommandRefused,
    ConfigChanged,
    ContainersMoved,
    DeployFailed,
    DeployStarted,
    DeploySucceeded,
    DomainFreed,
    DomainTaken,
    Event,
    FormationChanged,
    ImageLost,
    ImageRestored,
    KeyAdded,
    KeyRemoved,
    KeyringRekeyed,
    NameFreed,
    NameTaken,
    PushReceived,
    RefDeleted,
    RefMoved,
    RefRefused,
    ReleaseCreated,
    ReleaseRefused,
    ReleaseRetired,
    RetireFailed,
    RoutePublished,
    RouteRejected,
    Slot,
    app_stream,
    domain_stream,
    key_stream,
    name_stream,
    work_stream,
)
from services.projections import Fold
from services.runner import SERVICES
from services.todo import Pending

Step = tuple[list[Draft], Cause]
"""What one append records."""

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MAIN = "refs/heads/main"
CONFIG_KEYS = ("DATABASE_URL", "SECRET_KEY", "SMTP_URL", "WORKERS", "LOG_LEVEL", "FEATURES")
PROCESSES = {"web": "gunicorn --bind 0.0.0.0:$PORT hello.wsgi", "worker": "python -m hello.worker"}


def rows(random: Random, apps: int = 50, mortality: float = 0.0005) -> Iterator[chain.Row]:
    """The rows of a log that never ends, as they stand in a database."""
    head, versions = Head(0, chain.GENESIS), dict[str, int]()
    for drafts, cause in steps(random, apps, mortality):
        time = (BEGAN + timedelta(seconds=17 * head.position)).isoformat(timespec="microseconds")
        for row in chain.make_rows(head, versions, drafts, cause, time.replace("+00:00", "Z")):
            head = Head(row[0], row[-1])
            yield row


def whole(rows: Iterator[chain.Row], least: int) -> Iterator[chain.Row]:
    """The first `least` rows, and more up to the end of an append."""
    last: chain.Row | None = None
    story = [chain.COLUMNS.index(name) for name in ("time", "correlationid", "causationid")]
    for row in rows:
        if last and row[0] > least and any(row[at] != last[at] for at in story):
            return
        yield (last := row)


def steps(random: Random, apps: int, mortality: float) -> Iterator[Step]:
    """What is appended to such a log, one append after the other; so many `apps` live at any time.

    `mortality` is how likely an app is destroyed after each push or change, and ten times as unlikely in the middle.
    """
    names = (f"app-{number}" for number in count(1))
    lives = [keys(random), *(Life(random, next(names), mortality).steps() for _ in range(apps))]
    while True:
        number = random.randrange(1, len(lives)) if random.random() > 0.01 else 0
        if step := next(lives[number], None):
            yield step
        else:
            lives[number] = Life(random, next(names), mortality).steps()


def keys(random: Random) -> Iterator[Step]:
    """Keys that come and go."""
    for name in (f"ann{number}" for number in count(1)):
        key, cause = "SHA256:" + _hex(random, 43), Cause("gitreceiver", "local", "local", f"ssh-keys:add {name}")
        added = KeyAdded(name=name, fingerprint=key, public_key="ssh-ed25519 AAAA" + _hex(random, 64))
        yield [Draft(key_stream(key), name, added, _id(random))], cause
        if random.random() < 0.5:
            yield [Draft(key_stream(key), name, KeyRemoved(name=name, fingerprint=key), _id(random))], cause
        refused = CommandRefused(reason="there is no such command", count=random.randrange(1, 100))
        yield [Draft(AUDIT, name, refused, _id(random))], Cause("gitreceiver", f"{name} {key}", "192.0.2.7:1", "x ***")
        yield [Draft(AUDIT, "keyring", KeyringRekeyed(keys=random.randrange(100)), _id(random))], cause


@dataclass
class Life:
    """One app: what it is by now, and what happens to it."""

    random: Random
    name: str
    mortality: float
    app: str = ""
    config: dict[str, str] = field(default_factory=dict)
    formation: dict[str, int] = field(default_factory=lambda: {"web": 1, "worker": 0})
    domains: list[str] = field(default_factory=list)
    head: str | None = None
    image: str = ""
    number: int = 0
    current: int | None = None
    tag: tuple[str, str] | None = None

    def steps(self) -> Iterator[Step]:
        """From the app's creation to its end, which may come in the middle of anything."""
        self.app, host = _id(self.random), f"{self.name}.example.org"
        self.domains.append(host)
        taken = NameTaken(app=self.app, name=self.name), DomainTaken(app=self.app, host=host)
        yield self._command("apps:create", taken[0], AppCreated(app=self.app, name=self.name), taken[1])
        while self.random.random() > self.mortality:
            stories = (self._push, self._config, self._scale, self._domain, self._tag)
            for step in self.random.choices(stories, (60, 25, 8, 5, 2))[0]():
                yield step
                if self.random.random() < self.mortality / 10:
                    yield self._end()
                    return
        yield self._end()
        if self.random.random() < 0.3:
            yield self._return()
            yield from self._push()
            yield self._end()
        if self.random.random() < 0.5:
            yield self._command("", AppShredded(app=self.app, name=self.name))

    def _command(self, command: str, *events: Event, source: str = "configsvc") -> Step:
        cause = Cause(source, "ann SHA256:" + "a" * 43, "192.0.2.7", f"{command} {self.name}")
        return [self._draft(event) for event in events], cause

    def _draft(self, event: Event, work: str = "") -> Draft:
        match event:
            case NameTaken(name=name) | NameFreed(name=name):
                stream = name_stream(name)
            case DomainTaken(host=host) | DomainFreed(host=host):
                stream = domain_stream(host)
            case AddressesTaken():
                stream = ADDRESSES
            case _:
                stream = work_stream(work) if work else app_stream(self.app)
        return Draft(stream, self.name, event, _id(self.random))

    def _end(self) -> Step:
        freed = [DomainFreed(app=self.app, host=host) for host in self.domains]
        gone = NameFreed(app=self.app, name=self.name), AppDestroyed(app=self.app, name=self.name)
        return self._command("apps:destroy", *freed, *gone)

    def _return(self) -> Step:
        taken = [DomainTaken(app=self.app, host=host) for host in self.domains]
        back = NameTaken(app=self.app, name=self.name), AppRestored(app=self.app, name=self.name)
        self.current = None
        return self._command("log:undo", *back, *taken)

    def _push(self) -> Iterator[Step]:
        new, digest = _hex(self.random, 40), "sha256:" + _hex(self.random, 64)
        push = self._draft(PushReceived(app=self.app, ref=MAIN, old=self.head, new=new, source=digest))
        yield [push], Cause("gitreceiver", "ann SHA256:" + "a" * 43, "192.0.2.7", "git push", push.id)
        attempts = 1 + (self.random.random() < 0.03)
        for attempt in range(1, attempts + 1):
            yield self._after(push, push, BuildStarted(app=self.app, attempt=attempt))
        if self.random.random() < 0.1:
            failed = BuildFailed(app=self.app, attempt=attempts, reason="pip found no version of flask", output=digest)
            yield self._after(push, push, failed)
            return
        image = "sha256:" + _hex(self.random, 64)
        built = BuildSucceeded(
            app=self.app, attempt=attempts, image=image, stack="sha256:" + "5" * 64, buildpack="Python",
            processes=PROCESSES, commit=new, output=digest,
        )  # fmt: skip
        step = self._after(push, push, built)
        yield step
        if self.random.random() < 0.005:
            refused = ReleaseRefused(app=self.app, reason="configsvc failed: KeyError; its log says more")
            yield self._after(push, step[0][0], refused, on_work=False)
            return
        release = self._release(f"Deploy {new[:8]}", image, new, push.id)
        yield self._after(push, step[0][0], release, on_work=False)
        released = self.last
        if self.random.random() < 0.02:  # the host has not the image, or not any more
            yield self._after(push, push, ImageRestored(app=self.app, image=image, restored=digest, stack=digest))
        elif self.random.random() < 0.02:
            yield self._after(push, push, ImageLost(app=self.app, image=image, reason="what was pushed is not kept"))
        yield from self._deploy(push, released, new)

    def _release(self, change: str, image: str, commit: str, push: str = "") -> ReleaseCreated:
        self.number += 1
        return ReleaseCreated(
            app=self.app, number=self.number, change=change, image=image, commit=commit, config=dict(self.config),
            processes=PROCESSES, formation=dict(self.formation), domains=list(self.domains), push=push,
        )  # fmt: skip

    def _after(self, story: Draft, trigger: Draft, event: Event, on_work: bool = True) -> Step:
        """What `trigger` caused, in the story that began with `story`."""
        self.last = self._draft(event, trigger.id if on_work else "")
        cause = Cause(type(event).EMITTER, "ann SHA256:" + "a" * 43, "", "", story.id, trigger.id)
        return [self.last], cause

    def _deploy(self, story: Draft, release: Draft, new: str | None = None) -> Iterator[Step]:
        number, replaces = self.number, self.current
        slots = [
            Slot(process=process, number=n, address=f"172.30.{number % 250}.{n}", port=5000, spec=_hex(self.random, 64),
                 made_by=release.id, attempt=1)
            for process, wanted in self.formation.items() for n in range(1, wanted + 1)
        ]  # fmt: skip
        drafts, cause = self._after(story, release, DeployStarted(app=self.app, release=number, attempt=1, slots=slots))
        taken = AddressesTaken(app=self.app, addresses=[slot.address for slot in slots])
        yield ([*drafts, self._draft(taken)] if slots else drafts), cause
        chance, reason = self.random.random(), "web.1 did not accept connections within 60 s"
        failed = DeployFailed(app=self.app, release=number, attempt=1, reason=reason, output=None)
        if chance < 0.05:
            yield self._after(story, release, failed)
            return
        yield self._after(story, release, DeploySucceeded(app=self.app, release=number, attempt=1, slots=slots))
        deployed = self.last
        if chance < 0.06:
            yield self._after(story, deployed, RouteRejected(app=self.app, release=number, attempt=1, reason=reason))
            yield self._after(story, self.last, failed)
            return
        upstreams = [f"{slot.address}:{slot.port}" for slot in slots if slot.process == "web"]
        route = RoutePublished(
            app=self.app, release=number, attempt=1, hosts=list(self.domains), upstreams=upstreams, replaces=replaces,
            push=story.id if new else "",
        )  # fmt: skip
        yield self._after(story, deployed, route)
        published, self.current = self.last, number
        if new:
            self.image = release.event.image
            if self.random.random() < 0.005:
                refused = RefRefused(app=self.app, release=number, reason="gitreceiver failed: its log says more")
                yield self._after(story, published, refused, on_work=False)
            else:
                moved = RefMoved(app=self.app, ref=MAIN, old=self.head, new=new, deploys=True)
                yield self._after(story, published, moved, on_work=False)
                self.head = new
        if slots and self.random.random() < 0.02:
            moved_to = [slot.model_copy(update={"address": f"172.31.{number % 250}.{slot.number}"}) for slot in slots]
            yield self._after(story, release, ContainersMoved(app=self.app, release=number, slots=moved_to))
        if replaces is not None:
            retired: Event = ReleaseRetired(app=self.app, release=replaces, by=number)
            if self.random.random() < 0.005:
                retired = RetireFailed(app=self.app, release=replaces, by=number, reason="Docker does not answer")
            yield self._after(story, published, retired)

    def _change(self, command: str, *events: Event) -> Iterator[Step]:
        """A change of settings, and the release that it makes once the app serves."""
        if self.image and self.head:
            events = (*events, self._release(f"{command} by ann", self.image, self.head))
        step = self._command(command, *events)
        yield step
        if isinstance(events[-1], ReleaseCreated):
            yield from self._deploy(step[0][0], step[0][-1])

    def _config(self) -> Iterator[Step]:
        unset = [key for key in self.config if self.random.random() < 0.05]
        changed = {self.random.choice(CONFIG_KEYS): _hex(self.random, 96)}
        self.config = {key: value for key, value in {**self.config, **changed}.items() if key not in unset}
        yield from self._change("config:set", ConfigChanged(app=self.app, set=changed, unset=unset))

    def _scale(self) -> Iterator[Step]:
        changed = {self.random.choice(("web", "worker")): self.random.choice((0, 1, 1, 1, 2, 3))}
        self.formation.update(changed)
        yield from self._change("scale", FormationChanged(app=self.app, formation=changed))

    def _domain(self) -> Iterator[Step]:
        if len(self.domains) > 2:
            yield from self._change("domains:remove", DomainFreed(app=self.app, host=self.domains.pop()))
        else:
            self.domains.append(f"www{len(self.domains)}.{self.name}.example.net")
            yield from self._change("domains:add", DomainTaken(app=self.app, host=self.domains[-1]))

    def _tag(self) -> Iterator[Step]:
        """A tag and its end, in turns."""
        ref, new = f"refs/tags/v{_hex(self.random, 4)}", _hex(self.random, 40)
        event: Event = RefMoved(app=self.app, ref=ref, old=None, new=new, deploys=False)
        if self.tag:
            event = RefDeleted(app=self.app, ref=self.tag[0], old=self.tag[1])
        self.tag = None if self.tag else (ref, new)
        yield self._command("git push", event, source="gitreceiver")


def _hex(random: Random, digits: int) -> str:
    return f"{random.getrandbits(4 * digits):0{digits}x}"


def _id(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128)))


def folds() -> Iterator[tuple[str, Fold]]:
    """What an embedded instance folds, by the names that it gives them: each service's state, each hop's to-dos."""
    with catch_warnings():
        simplefilter("ignore")  # eventlet announces its end at every import
        classes = {service: import_module(f"{service}.service").Service for service in SERVICES}
    for service, methods in classes.items():
        yield f"{service}.state.State", import_module(f"{service}.state").State()
        for hop in [entry for method in vars(methods).values() for entry in getattr(method, "nameko_entrypoints", ())]:
            if getattr(hop, "until", ()):
                yield f"{service}.on.{hop.event.TYPE}", Pending(hop.event, hop.until, hop.when, hop.settled, hop.news)
