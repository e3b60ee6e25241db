"""A world that outlives crashes (the log, Docker, nginx) and processes that handle events in it until they crash.

The fakes keep state as the real parts do: a container is there until it is removed, whatever became of who made it,
and one that runs a web process accepts TCP at its address.
"""

import os
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import sqlalchemy as sa
from docker.errors import ImageNotFound, NotFound
from dulwich.objects import Blob, Commit, ShaFile, Tree

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of eventlet, which nothing here runs on
    import builder.service
    import configsvc.service
    import deployer.service
    import gitreceiver.service
    import router.service
    from services.hops import On

import builder.on_app_shredded
import builder.tars
import configsvc.answers
import configsvc.on_app_shredded
import deployer.mend
import deployer.move
from deployer.answers import endpoints
from deployer.containers import ContainerRefused, Found, Look
from deployer.logs import Archive
from deployer.spec import ContainerSpec, is_later, labelled, network_name
from gitreceiver.git.measure import Limits
from gitreceiver.git.reading import DulwichObjects
from gitreceiver.git.repository import Repository, repository
from gitreceiver.git.tree import write_tar
from gitreceiver.trees import Push, Trees
from router.nginx import RouteRefused
from services.agenda import Agenda
from services.chain import Cause, Draft, uuid7
from services.decide import give_up
from services.errors import PushlogError, Unavailable
from services.eventlog import EventLog
from services.events import Event, PushReceived, Recorded, app_stream
from services.keyring import Keyring
from services.platform import assemble
from services.settings import Settings
from services.sources import Sources
from services.todo import Pending

APP = "aaaaaaaa-0000-4000-8000-000000000001"
SUBNET = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}.0/24"
ELSEWHERE = f"127.{1 + os.getpid() % 63}.{os.getpid() // 63 % 256}.0/24"
CAUSE = {"source": "gitreceiver", "actor": "tester SHA256:" + "x" * 43}


class Crash(BaseException):
    """The process is gone: nothing after it happens, `finally` blocks neither."""


class Fuse:
    """Blows at the `at`th call of anything that is `through` it, before that does anything; 0: never."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    @property
    def blown(self) -> bool:
        """Whether the process is gone."""
        return 0 < self.at <= self.calls

    def through(self, target: Any) -> Any:
        """`target`, each of whose methods may be where the process ends."""
        return Fused(target, self)

    def burn(self) -> None:
        """Count a call. Raises Crash at the chosen one, and ever after."""
        self.calls += 1
        if self.blown:
            raise Crash


class Paused(Fuse):
    """Stands still at the `at`th call while `meanwhile` goes on, and then makes that call."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__(0)
        self.meanwhile = meanwhile

    def burn(self) -> None:
        """See Fuse.burn."""
        self.calls += 1
        if self.calls == self.at:
            self.meanwhile()


class Fused:
    """See Fuse.through."""

    def __init__(self, target: Any, fuse: Fuse) -> None:
        self._target, self._fuse = target, fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn()
            return method(*args, **kwargs)

        return call


class Api:
    """Docker as the builder sees it: it makes images of containers that never start."""

    def __init__(self, subnet: str = SUBNET) -> None:
        self.subnet = subnet
        self.made: dict[str, dict[str, str]] = {}
        self.images_made: set[str] = set()

    def create_host_config(self, **config: Any) -> dict[str, Any]:
        return config

    def create_container(self, base: str, *, labels: dict[str, str], **config: Any) -> dict[str, str]:
        self.made[identifier := sha()] = labels
        return {"Id": identifier}

    def put_archive(self, container: str, folder: str, tar: Any) -> None:
        self._check(container)
        assert b"".join(tar)

    def commit(self, container: str, *args: Any, **config: Any) -> dict[str, str]:
        self._check(container)
        self.images_made.add(image := sha())
        return {"Id": image}

    def remove_image(self, image: str, **how: Any) -> None:
        self.images_made.remove(image)

    def remove_container(self, container: str, **how: Any) -> None:
        self._check(container)
        del self.made[container]

    def _check(self, container: str) -> None:
        if container not in self.made:
            raise NotFound(f"No such container: {container}")

    def containers(self, **filters: Any) -> list[dict[str, Any]]:
        return [{"Id": identifier, "Labels": labels} for identifier, labels in self.made.items()]

    def ping(self) -> bool:
        return True

    def images(self, **filters: Any) -> list[dict[str, Any]]:
        return []

    def networks(self, **filters: Any) -> list[dict[str, Any]]:
        return [{"Name": network_name(settings(Path("/"))), "IPAM": {"Config": [{"Subnet": self.subnet}]}}]


class Engine:
    """A Docker client: the stack's image, and the API."""

    def __init__(self, subnet: str = SUBNET) -> None:
        self.api = Api(subnet)
        self.images = SimpleNamespace(get=self._image)

    def _image(self, name: str) -> Any:
        if name.startswith("sha256:") and name not in self.api.images_made:
            raise ImageNotFound(f"No such image: {name}")
        return SimpleNamespace(id=sha(), labels={"pushlog.python": "3.11"})


@dataclass
class Box:
    """A container of an app."""

    spec: ContainerSpec
    name: str
    listener: socket.socket | None = None
    serves: bool = False


class Boxes:
    """deployer.containers.Containers without Docker. A command `exit` ends at once; every other one serves."""

    def __init__(self) -> None:
        self.boxes: dict[str, Box] = {}

    def create(self, wanted: ContainerSpec) -> str:
        for identifier, box in [(i, box) for i, box in self.boxes.items() if box.name == wanted.name]:
            if is_later(box.spec.labels, wanted.labels):
                raise ContainerRefused("a later attempt's")
            self.remove(identifier)
        assert all(box.spec.address != wanted.address for box in self.boxes.values()), "address already in use"
        self.boxes[identifier := sha()] = Box(wanted, wanted.name)
        return identifier

    def has_image(self, image: str) -> bool:
        return True

    def start(self, container: str) -> None:
        box = self._box(container)
        if box.spec.command[-1] != "exit" and box.listener is None:
            box.listener = socket.create_server((box.spec.address, int(box.spec.environment["PORT"])))

    def look(self, container: str) -> Look | None:
        box = self.boxes.get(container)
        return box and Look(running=box.listener is not None, exit_code=1, error="", gave_up=False)

    def serve(self, container: str, name: str) -> None:
        self.rename(container, name)
        self.boxes[container].serves = True

    def rename(self, container: str, name: str) -> None:
        if any(box.name == name for i, box in self.boxes.items() if i != container):
            raise ContainerRefused(f"the name {name} is in use")
        self._box(container).name = name

    def _box(self, container: str) -> Box:
        if container not in self.boxes:
            raise ContainerRefused(f"No such container: {container}")
        return self.boxes[container]

    def stop(self, container: str) -> None:
        if (box := self.boxes.get(container)) and box.listener:
            box.listener.close()
            box.listener = None

    def remove(self, container: str) -> None:
        self.stop(container)
        self.boxes.pop(container, None)

    def list(self, app: str | None = None) -> list[Found]:
        return [
            Found(
                identifier,
                box.name,
                "running" if box.listener else "exited",
                labelled(box.spec.labels) or ("", 0, "", 0),
                APP,
                box.spec.labels,
                box.spec.address,
            )
            for identifier, box in self.boxes.items()
        ]

    def logs(self, container: str, lines: int | None, since: float | None) -> bytes:
        return b"2026-01-01T00:00:00.0Z hello\n"


@dataclass
class Proxy:
    """nginx as the router sees it. `refuses` are the releases that it does not take."""

    routes: dict[str, Any] = field(default_factory=dict)
    refuses: set[int] = field(default_factory=set)

    def look(self) -> None:
        """See Nginx.look."""

    def ensure(self, routes: Any, seen: Any = None) -> None:
        self.routes = {route.app: route for route in routes}

    def prove(self, route: Any) -> None:
        if route.release in self.refuses:
            raise RouteRefused("no container of the release answered through nginx")


class World:
    """What a crash leaves as it is. `keys` is the database of the keyring."""

    def __init__(self, home: Path, log: EventLog, keys: sa.Engine) -> None:
        self.settings, self.log, self.keys = settings(home), log, keys
        self.docker, self.containers, self.nginx = Engine(), Boxes(), Proxy()
        self.sources = Sources(home / "blobs" / "sources")
        self.now = 0.0

    def move(self, subnet: str) -> None:
        """Have nothing but the log and what stands beside it, as an import on another host does."""
        self.close()
        self.docker, self.containers, self.nginx = Engine(subnet), Boxes(), Proxy()

    def close(self) -> None:
        """Let go of sockets."""
        for identifier in list(self.containers.boxes):
            self.containers.remove(identifier)

    def recorded(self) -> list[Recorded[Event]]:
        """The log."""
        return self.log.read(0, 10_000)


def tar(repository: Repository, commit: str, file: BinaryIO, folder: Path, limits: Limits) -> None:
    """checking.tar in this process: a process for each of so many pushes would take minutes."""
    with repository.store() as store:
        write_tar(DulwichObjects(store), commit, file, limits)


def settings(home: Path) -> Settings:
    """Quick settings."""
    return Settings(home=home, instance="crash", drain=0, check_timeout=0.5, check_uptime=0.01)


def sha() -> str:
    """A fresh digest."""
    return f"sha256:{os.urandom(32).hex()}"


class Process:
    """Every service in one process that begins now and ends when its fuse blows. `alone`: no other process lives."""

    def __init__(self, world: World, fuse: Fuse, alone: bool = True) -> None:
        if alone:
            world.log.drop_leases()
        self.world = world
        docker = world.docker
        client: Any = SimpleNamespace(images=docker.images, api=fuse.through(docker.api))
        keyring = Keyring(world.keys, bytes(32))
        platform = assemble(world.settings, fuse.through(world.log), keyring, uuid7(), lambda: world.now)
        self.fuse = fuse
        self.platform = replace(platform, blobs=fuse.through(platform.blobs))
        self.configsvc = configsvc.ports.build(self.platform)
        trees = Trees(world.settings, self.platform.blobs, self.platform.sources, tar)
        self.gitreceiver = replace(gitreceiver.ports.build(self.platform), trees=trees)
        self.builder = replace(
            builder.ports.build(self.platform), client=client, sources=fuse.through(platform.sources)
        )
        self.deployer = replace(
            deployer.ports.build(self.platform),
            client=client,
            containers=fuse.through(world.containers),
            archive=fuse.through(Archive(world.settings.home / "logs")),
        )
        self.router = replace(router.ports.build(self.platform), nginx=fuse.through(world.nginx))
        self.hops = list(self._hops())

    def _hops(self) -> Iterator[tuple[Pending, Agenda, On, Callable[[Any], None]]]:
        """The hops that each service.py declares and that record something."""
        for service in (builder, configsvc, deployer, router, gitreceiver):
            own = SimpleNamespace(ports=getattr(self, service.__name__), call=self.call)
            for method in vars(service.service.Service).values():
                for hop in getattr(method, "nameko_entrypoints", ()):
                    if isinstance(hop, On) and hop.until:
                        pending = Pending(hop.event, hop.until, hop.when, hop.settled, hop.news)
                        lease = self.platform.settings.lease
                        agenda = Agenda(pending, self.platform.claims, 9, lease, hop.ordered, lambda: self.world.now)
                        yield pending, agenda, hop, partial(method, own)

    def call(self, service: str, method: str, **arguments: Any) -> Any:
        """What a service answers."""
        if (service, method) == ("gitreceiver", "source"):
            push = Push(arguments["app"], arguments["push"], arguments["commit"], arguments["blob"])
            return self.fuse.through(self.gitreceiver.trees).ready(push)
        assert (service, method) == ("deployer", "endpoints"), method
        return endpoints(self.deployer, **arguments)

    def run(self) -> None:
        """Mend the world as a start does, then handle events until nothing is pending. Raises Crash."""
        self.start()
        self.finish()

    def finish(self) -> None:
        """Handle events until nothing is pending. Raises Crash."""
        for _ in range(100):
            if not self.step():
                if not any(pending.items for pending, *_ in self.hops):
                    return
                self.world.now += min(agenda.rest() for _, agenda, *_ in self.hops)
                self.look()
        raise AssertionError(f"{[list(pending.items.values()) for pending, *_ in self.hops]} are never done")

    def start(self) -> None:
        """Look at what is there, and mend it."""
        for number, (pending, *_) in enumerate(self.hops):
            self.platform.projections.add(pending, f"hop {number}")
        self.mend()

    def step(self) -> bool:
        """Do what is due by now; returns whether anything was."""
        self.platform.projections.catch_up()
        done = [self._work(*hop) for hop in self.hops]
        self.platform.projections.catch_up()
        return any(done)

    def _work(self, pending: Pending, agenda: Agenda, hop: On, handle: Callable[[Any], None]) -> bool:
        taken = agenda.take()
        for event in taken:
            try:
                handle(event)
            except PushlogError as error:
                agenda.failed(event)
                self.platform.projections.catch_up()
                if event.id in pending.items and agenda.spent(event):
                    attempts = pending.attempts(event)
                    outcome = hop.gives_up(event, attempts, str(error))
                    give_up(self.platform.log, self.platform.claims, event, outcome, outcome.event.EMITTER, attempts)
            else:
                self.platform.projections.catch_up()
                agenda.returned(event)
        return bool(taken)

    def mend(self) -> None:
        """What each service does when it has started."""
        configsvc.on_app_shredded.mend(self.configsvc)
        builder.on_app_shredded.mend(self.builder)
        builder.tars.sweep(self.builder)
        self.look()
        self.router.mend()

    def look(self) -> None:
        """What the deployer does every now and then."""
        with suppress(Unavailable):
            deployer.move.into(self.deployer, self.deployer.subnet())
            deployer.mend.everything(self.deployer, deployer.mend.Pauses({}))

    def create(self) -> None:
        """Create the app."""
        configsvc.answers.create_app(self.configsvc, "hello", dict(CAUSE), APP)

    def push(self, number: int, procfile: str) -> None:
        """Record a push of the commit `number`, as the door does."""
        self.platform.projections.catch_up()
        app, id_ = self.gitreceiver.state.apps[APP], uuid7()
        *files, tree, new = objects(number, procfile)
        with repository(self.platform.settings.home, APP).store() as store:
            for thing in (*files, tree, new):
                store.add_object(thing)
        old = app.refs.get("refs/heads/main")
        received = PushReceived(
            app=APP, ref="refs/heads/main", old=old, new=new.id.decode(), tree=tree.id.decode(), pack=None
        )
        draft = Draft(app_stream(APP), "hello", received, id_)
        self.platform.log.append([draft], Cause(**CAUSE, correlationid=id_), expect={draft.stream: app.version})


def crash(world: World, at: int, procfile: str | None) -> bool:
    """Run a process that ends at its `at`th call, after a second push if one is given; returns whether it did."""
    fuse = Fuse(0)
    process = Process(world, fuse)
    if procfile:
        process.push(2, procfile)
    fuse.at, fuse.calls = at, 0
    try:
        process.run()
    except Crash:
        return True
    return False


def objects(number: int, procfile: str) -> list[ShaFile]:
    """A commit of a Procfile, last, and all that it has."""
    files = {b"Procfile": Blob.from_string(procfile.encode()), b".null": Blob.from_string(b"")}
    tree, made = Tree(), Commit()
    for name, file in files.items():
        tree.add(name, 0o100644, file.id)
    made.tree, made.message = tree.id, b"%d" % number
    made.author = made.committer = b"Ann <ann@example.com>"
    made.author_time = made.commit_time = made.author_timezone = made.commit_timezone = 0
    return [*files.values(), tree, made]


def commit(number: int, procfile: str = "web: serve\n") -> str:
    """The id of such a commit."""
    return objects(number, procfile)[-1].id.decode()
