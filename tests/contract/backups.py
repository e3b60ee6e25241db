"""Instances without anything that runs: a log, a keyring, blobs and repositories, to be exported and imported into."""

import errno
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random

from dulwich.objects import Blob, Commit, ObjectID, Tree

from gitreceiver import ports
from gitreceiver.backup import restore
from gitreceiver.backup.archive import Reader
from gitreceiver.backup.export import export
from gitreceiver.git.measure import Limits
from gitreceiver.git.reading import DulwichObjects
from gitreceiver.git.repository import repository
from gitreceiver.git.tree import write_tar
from gitreceiver.ports import Ports
from services import database
from services.chain import Cause, Draft, uuid7
from services.eventlog import SqlLog
from services.events import (
    AppCreated,
    BuildStarted,
    BuildSucceeded,
    ConfigChanged,
    DeployStarted,
    DeploySucceeded,
    Event,
    NameTaken,
    PushReceived,
    Recorded,
    RefMoved,
    ReleaseCreated,
    RoutePublished,
    app_stream,
    name_stream,
    work_stream,
)
from services.keyring import Keyring
from services.moments import Moment
from services.platform import assemble
from services.projections import Projections
from services.settings import Settings
from tests import fleet
from tests.contract.databases import fresh_url

FLEET = 400
APP = "0190a8c0-0000-7000-8000-00000000000a"
SECRET = "canary-in-the-config"
WHO = Cause("gitreceiver", "ann SHA256:" + "a" * 43, "192.0.2.7", "git push")


@contextmanager
def instance(folder: Path, kind: str = "sqlite", master: bytes | None = None) -> Iterator[Ports]:
    """An empty instance with a home and a master key of its own."""
    home = folder / "home"
    home.mkdir(parents=True)
    with fresh_url(kind, folder) as url:
        engine = database.connect(url)
        try:
            ring = Keyring(engine, master or os.urandom(32))
            yield ports.build(assemble(Settings(home=home), SqlLog(engine), ring, "tests"))
        finally:
            engine.dispose()


def fill(parts: Ports, pushes: int = 8) -> None:
    """A log of a fleet's events, and behind them an app that has everything that its events say."""
    parts.log.adopt(islice(fleet.rows(Random(7)), FLEET), {})
    record(parts, beginning())
    sealed = parts.keyring.seal(APP, "TOKEN", SECRET)
    record(parts, [Draft(app_stream(APP), "real", ConfigChanged(app=APP, set={"TOKEN": sealed}))])
    old: str | None = None
    for number in range(1, pushes + 1):
        old = push(parts, number, old)


def beginning() -> list[Draft]:
    """What creates the app."""
    taken, created = NameTaken(app=APP, name="real"), AppCreated(app=APP, name="real")
    return [Draft(name_stream("real"), "real", taken), Draft(app_stream(APP), "real", created)]


def record(parts: Ports, drafts: list[Draft], cause: Cause = WHO) -> Recorded[Event]:
    """Append; returns the first event."""
    return parts.log.append(drafts, cause)[0]


def push(parts: Ports, number: int, old: str | None) -> str:
    """A push of a commit that is deployed as the release of that number; returns the commit's id."""
    new = commit(parts, f"version {number}\n", old)
    with repository(parts.settings.home, APP).store() as store:
        source = parts.blobs.put(lambda file: write_tar(DulwichObjects(store), new, file, Limits.of(parts.settings)))
    id_, ref = uuid7(), "refs/heads/main"
    repository(parts.settings.home, APP).hold(id_, new)
    story = Cause(WHO.source, WHO.actor, WHO.origin, WHO.command, id_)
    received = PushReceived(app=APP, ref=ref, old=old, new=new, source=source)
    pushed = record(parts, [Draft(app_stream(APP), "real", received, id_)], story)

    def after(trigger: Recorded[Event], event: Event, work: bool = True) -> Recorded[Event]:
        stream = work_stream(trigger.id) if work else app_stream(APP)
        return record(parts, [Draft(stream, "real", event)], Cause.after(type(event).EMITTER, trigger))

    image = f"sha256:{number:064x}"
    after(pushed, BuildStarted(app=APP, attempt=1))
    built = after(pushed, BuildSucceeded(app=APP, attempt=1, image=image, stack="sha256:" + "5" * 64, buildpack="null",
                                         processes={"web": "serve"}, commit=new, output=image))  # fmt: skip
    release = after(built, ReleaseCreated(app=APP, number=number, change="Deploy", image=image, commit=new, config={},
                                          processes={"web": "serve"}, formation={"web": 0}, domains=[], push=id_),
                    work=False)  # fmt: skip
    after(release, DeployStarted(app=APP, release=number, attempt=1, slots=[]))
    deployed = after(release, DeploySucceeded(app=APP, release=number, attempt=1, slots=[]))
    route = after(deployed, RoutePublished(app=APP, release=number, attempt=1, hosts=[], upstreams=[],
                                           replaces=number - 1 or None, push=id_))  # fmt: skip
    after(route, RefMoved(app=APP, ref=ref, old=old, new=new, deploys=True), work=False)
    return new


def commit(parts: Ports, text: str, parent: str | None) -> str:
    """A commit of one file and a Procfile, in the app's repository."""
    file, procfile, tree, made = Blob.from_string(text.encode()), Blob.from_string(b"web: serve\n"), Tree(), Commit()
    tree.add(b"version", 0o100644, file.id)
    tree.add(b"Procfile", 0o100644, procfile.id)
    made.tree, made.parents = tree.id, [ObjectID(parent.encode())] if parent else []
    made.author = made.committer = b"Ann <ann@example.com>"
    made.author_time = made.commit_time = 1_700_000_000
    made.author_timezone = made.commit_timezone = 0
    made.message = text.encode()
    with repository(parts.settings.home, APP).store() as store:
        for thing in (file, procfile, tree, made):
            store.add_object(thing)
    return made.id.decode()


def exported(parts: Ports, passphrase: str | None = None) -> tuple[bytes, list[str]]:
    """A backup, and what was said about it."""
    out, said = io.BytesIO(), list[str]()
    export(parts, lambda data: out.write(data) and None, said.append, passphrase)
    return out.getvalue(), said


def reading(archive: bytes) -> Callable[[int], bytes]:
    """What reads an archive, as its stream would come; like os.read it gives nothing to who asks for less than that."""
    stream = io.BytesIO(archive)

    def read(size: int) -> bytes:
        if size < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return stream.read(size)

    return read


def imported(
    parts: Ports, archive: bytes, passphrase: str | None = None, until: Moment | None = None, dry_run: bool = False
) -> tuple[dict[str, object], list[str]]:
    """What an import answers, and what it says."""
    said = list[str]()
    return restore.import_(parts, reading(archive), passphrase, said.append, until, dry_run), said


def verified(parts: Ports, archive: bytes, passphrase: str | None = None) -> dict[str, object]:
    """What a check answers."""
    return restore.verify(parts.settings.home, reading(archive), passphrase)


def contents(archive: bytes) -> dict[str, bytes]:
    """The parts of an archive by name."""
    return {part.name: b"".join(part.chunks) for part in Reader(reading(archive)).parts()}


def with_entry(info: tarfile.TarInfo, data: bytes, archive: bytes) -> bytes:
    """The archive with another entry behind its header."""
    size = tarfile.BLOCKSIZE + -(-int(archive[124:135], 8) // 512) * 512
    entry = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512)
    return archive[:size] + entry + archive[size:]


def states(parts: Ports, until: int | None = None) -> list[object]:
    """What every fold knows of a log, up to a position."""
    projections = Projections(Prefix(parts, until) if until else parts.log)  # type: ignore[arg-type]
    for name, fold in fleet.folds():
        projections.add(fold, name)
    projections.catch_up()
    return [fold.__getstate__() for fold in projections.folds]


class Prefix:
    """The beginning of a log."""

    def __init__(self, parts: Ports, end: int) -> None:
        self._log, self._end = parts.log, end

    def read(self, after: int, limit: int = 1000) -> list[Recorded[Event]]:
        """See EventLog.read."""
        return self._log.read(after, min(limit, self._end - after)) if after < self._end else []


def files_of(parts: Ports) -> dict[str, bytes]:
    """All that stands in a home but the log, by path."""
    return files_below(parts.settings.home)


def files_below(home: Path) -> dict[str, bytes]:
    """The files below a folder, by path."""
    found = (path for path in sorted(home.rglob("*")) if path.is_file())
    return {str(path.relative_to(home)): path.read_bytes() for path in found}
