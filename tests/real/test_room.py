"""What an app may keep on the disk, and how its repository gets small again, with real git and real packs."""

import io
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gitreceiver import compact, room
from gitreceiver.compact import Compactor
from gitreceiver.git import program
from gitreceiver.git.indexing import BadPack
from gitreceiver.git.quarantine import Quarantine
from gitreceiver.git.repository import Repository, repository
from gitreceiver.on_git_push import Pusher
from gitreceiver.ports import Ports
from gitreceiver.session import Session
from gitreceiver.sessions import push
from services.chain import Draft, uuid7
from services.events import AppCreated, AppDestroyed, PushReceived, RefMoved, app_stream
from services.settings import Settings
from tests.contract import backups
from tests.contract.backups import APP, instance

MIB = 1 << 20
OTHER = "0190a8c0-0000-7000-8000-00000000000b"


class Client:
    """A checkout that makes packs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main", str(path))

    def git(self, *words: str, input: bytes = b"") -> bytes:
        """What a git command prints."""
        who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "core.compression=0")
        return subprocess.run(["git", *who, *words], cwd=self.path, input=input, capture_output=True, check=True).stdout

    def commit(self, size: int, branch: str = "main") -> str:
        """A commit of so many random bytes, after what the branch has."""
        (self.path / branch).write_bytes(os.urandom(size))
        self.git("add", "-A")
        self.git("commit", "-q", "-m", branch)
        return self.git("rev-parse", "HEAD").decode().strip()

    def pack(self, new: str, *known: str) -> bytes:
        """The pack that a push of a commit sends."""
        lines = "".join(f"{line}\n" for line in (new, *(f"^{commit}" for commit in known)))
        return self.git("pack-objects", "--stdout", "--revs", "--thin", "-q", input=lines.encode())


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A checkout."""
    return Client(tmp_path / "client")


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Ports]:
    """The door's parts, with an app of 4 MiB and keys of 6 MiB at most."""
    with instance(tmp_path) as parts:
        backups.record(parts, backups.beginning())
        parts.projections.catch_up()
        yield replace(parts, settings=Settings(home=parts.settings.home, app_limit=4 * MIB, key_limit=6 * MIB))


def of(ports: Ports, app: str = APP) -> Repository:
    """An app's repository with its limits."""
    known = ports.state.apps[app]
    return replace(repository(ports.settings.home, app), room=partial(room.require, ports, known))


def take(repo: Repository, pack: bytes, commit: str, between: threading.Barrier | None = None) -> str:
    """Take a pack as a push does, and keep it; returns the id that it is held under."""
    id_, source = uuid7(), io.BytesIO(pack)
    with repo.store(), Quarantine(repo) as quarantine:
        if between:
            between.wait(10)
        quarantine.take(source.read, source.read, 1 << 30)
        quarantine.keep(id_, commit)
    return id_


def moved(ports: Ports, id_: str, new: str, ref: str = "refs/heads/main", app: str = APP) -> None:
    """Record that a ref points to what was stored under an id."""
    event = RefMoved(app=app, ref=ref, old=None, new=new, deploys=False)
    ports.log.append([Draft(app_stream(app), "real", event)], replace(backups.WHO, correlationid=id_))
    ports.projections.catch_up()


def test_a_push_beyond_the_apps_limit_is_refused_with_the_way_out_and_leaves_nothing(ports, client):
    repo, first = of(ports), client.commit(3 * MIB)
    take(repo, client.pack(first), first)
    before, second = room.taken(repo.path), client.commit(2 * MIB)
    with pytest.raises(
        BadPack,
        match=r"app: real keeps 5\.\d+ MiB with this push, more than 4 MiB \(PUSHLOG_APP_LIMIT\); push less, delete",
    ):
        take(repo, client.pack(second, first), second)
    assert room.taken(repo.path) == before
    small = client.commit(MIB // 4)
    with pytest.raises(BadPack, match="PUSHLOG_APP_LIMIT"):
        take(repo, client.pack(small, first), small)  # it brings the refused file, too


def test_a_small_pack_that_git_completes_beyond_the_limit_is_refused(ports, client):
    repo, first = of(ports), client.commit(3 * MIB)
    take(repo, client.pack(first), first)
    path = client.path / "main"
    path.write_bytes(path.read_bytes() + b"a little more")
    client.git("commit", "-q", "-a", "-m", "a little more")
    second = client.git("rev-parse", "HEAD").decode().strip()
    pack = client.pack(second, first)
    assert len(pack) < 10_000, "it is a delta to the file that is there, which git adds"
    with pytest.raises(BadPack, match="PUSHLOG_APP_LIMIT"):
        take(repo, pack, second)


def test_what_one_key_created_is_counted_together_and_others_go_on(ports, client):
    name = AppCreated(app=OTHER, name="other")
    backups.record(ports, [Draft(app_stream(OTHER), "other", name)])
    ports.projections.catch_up()
    commit = client.commit(3 * MIB + MIB // 2)
    pack = client.pack(commit)
    take(of(ports), pack, commit)
    with pytest.raises(BadPack, match=r"that ann created keep 7\.\d MiB with this push, more than 6 MiB \(PUSHLOG_KEY"):
        take(of(ports, OTHER), pack, commit)
    assert room.taken(of(ports, OTHER).path) < MIB
    ports.state.apps[OTHER].creator = "bob SHA256:" + "b" * 43
    assert take(of(ports, OTHER), pack, commit)


def test_pushes_at_once_do_not_pass_the_limit_together(ports, tmp_path):
    repo = of(ports)
    clients = [Client(tmp_path / f"client-{number}") for number in range(6)]
    commits = [client.commit(MIB) for client in clients]
    packs = [client.pack(new) for client, new in zip(clients, commits, strict=True)]
    between, kept, refused = threading.Barrier(6), [], []

    def push(number: int) -> None:
        try:
            kept.append(take(repo, packs[number], commits[number], between))
        except BadPack as error:
            refused.append(str(error))

    threads = [threading.Thread(target=push, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) < 4
    assert all("PUSHLOG_APP_LIMIT" in why for why in refused)
    assert room.taken(repo.path) <= 4 * MIB


def test_a_deleted_branch_makes_room_and_nothing_else_is_lost(ports, client):
    repo, first = of(ports), client.commit(MIB)
    moved(ports, take(repo, client.pack(first), first), first)
    client.git("checkout", "-q", "-b", "large")
    large = client.commit(2 * MIB, "large")
    id_ = take(repo, client.pack(large, first), large)
    moved(ports, id_, large, "refs/heads/large")
    compactor, app = Compactor(ports), ports.state.apps[APP]
    compactor.look(app, repo)
    assert room.taken(repo.path) > 3 * MIB

    del app.refs["refs/heads/large"]
    repo.release(id_)
    with repo.store():
        assert not compactor.look(app, repo, patience=0), "somebody uses it"
    assert compactor.look(app, repo)

    assert room.taken(repo.path) < 2 * MIB
    with repo.store() as store:
        assert first.encode() in store
        assert large.encode() not in store
    assert take(repo, client.pack(large, first), large)


def test_many_packs_become_one_and_pushes_that_came_to_nothing_are_dropped(ports, client, monkeypatch):
    monkeypatch.setattr(compact, "MANY", 5)
    repo, old = of(ports), ""
    for number in range(6):
        new = client.commit(10)
        id_ = take(repo, client.pack(new, *([old] if old else [])), new)
        old = new
        if number % 2:
            moved(ports, id_, new)
    moved(ports, id_, new)
    client.git("checkout", "-q", "--orphan", "aside")
    aside = client.commit(10)
    released, under_way, failed = (take(repo, client.pack(aside), aside) for _ in range(3))
    app = ports.state.apps[APP]
    app.released.add(released)
    app.pending[under_way] = PushReceived(app=APP, ref="refs/heads/main", old=None, new=aside)
    assert Compactor(ports).look(app, repo)
    assert len(list((repo.objects / "pack").glob("*.pack"))) == 1
    assert repo.held() == {id_: new, released: aside, under_way: aside}
    assert failed not in repo.held()
    assert not Compactor(ports).look(ports.state.apps[APP], repo)
    with repo.store() as store:
        assert len(store[new.encode()].parents) == 1
        assert aside.encode() in store


class Destroying:
    """A wire whose client pushes nothing, and whose app is destroyed meanwhile."""

    closed = False

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def read(self, limit: int, patience: float | None = None) -> bytes:
        destroyed = Draft(app_stream(APP), "real", AppDestroyed(app=APP, name="real"))
        self._ports.log.append([destroyed], backups.WHO)
        self._ports.projections.catch_up()
        return b"0000"

    def write(self, data: bytes, *, error: bool) -> None:
        pass

    def exit(self, code: int) -> None:
        pass


def test_a_push_to_an_app_that_is_destroyed_meanwhile_leaves_what_can_be_restored(ports):
    repo = of(ports)
    session = Session(Destroying(ports), [], "", "", "local", "local")
    push(session, ports, Pusher(ports, lambda *_, **__: None, backups.WHO, "real"))
    assert APP in ports.state.gone
    assert repo.path.exists()


def test_a_push_that_begins_while_a_repository_is_compacted_waits(ports, client):
    repo, first = of(ports), client.commit(10)
    pack, done = client.pack(first), threading.Event()
    with repo.alone() as lock:
        assert lock is not None
        thread = threading.Thread(target=lambda: (take(repo, pack, first), done.set()))
        thread.start()
        assert not done.wait(0.3)
    assert done.wait(10)
    thread.join()


def test_a_program_that_outlives_its_process_keeps_the_repository_to_itself(ports):
    repo, done = of(ports), threading.Event()
    with repo.alone() as lock:
        orphan = program.Program(["cat"], os.environ, lambda *_: done.wait(10) and None, held=[lock])
    with orphan:
        with repo.alone() as other:
            assert other is None
        done.set()
        assert orphan.end() == ""
    with repo.alone() as other:
        assert other is not None


def test_who_compacts_a_repository_has_its_lock(ports, client, monkeypatch, tmp_path):
    repo, first = of(ports), client.commit(10)
    moved(ports, take(repo, client.pack(first), first), first)
    monkeypatch.setattr(compact, "MANY", 0)
    monkeypatch.setattr(compact, "REPACK", ("sh", "-c", f"readlink /proc/$$/fd/* > {tmp_path}/held; true"))
    assert Compactor(ports).look(ports.state.apps[APP], repo)
    assert str(repo.path) in (tmp_path / "held").read_text().splitlines()
