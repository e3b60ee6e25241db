"""A client that dies in the middle of a push: all of the push happened, or nothing of it, and nothing of it stays."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, Running, wait_for
from tests.e2e.world import StoredLog
from tests.faults.client import RESET, Client, first_line, pack_of, quarantines
from tests.faults.instances import started
from tests.faults.matrix import cell

SITE = "site"
CLOSED_SOON = 30.0


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance for all clients."""
    with started(Instance(tmp_path_factory.mktemp("clients") / "home", f"faults-{os.getpid()}-clients")) as instance:
        yield instance


@pytest.fixture(scope="module")
def site(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout of an app that serves, with what takes a while to send."""
    source = Checkout.of(ECHO, tmp_path_factory.mktemp("site") / "checkout", instance)
    source.push(SITE)
    return source


@pytest.fixture
def idle(instance: Instance, site: Checkout) -> Iterator[None]:
    """Begins when nobody is served, and ends when all is let go of that was opened since."""
    instance.ssh("apps:list")
    before = descriptors(instance)
    yield
    wait_for(lambda: descriptors(instance) <= before, f"no more than {before} descriptors", CLOSED_SOON)
    wait_for(lambda: not quarantines(instance), "the end of all quarantines", CLOSED_SOON)


def descriptors(instance: Instance) -> int:
    """How many files, pipes and TCP connections the platform has open; those to Docker it keeps for the next time."""
    unix = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    count = 0
    for link in Path(f"/proc/{instance.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            target = os.readlink(link)
            count += target.removeprefix("socket:[").removesuffix("]") not in unix
    return count


def next_version(site: Checkout) -> tuple[str, str, bytes]:
    """Commit another version, with 300 KB that do not compress.

    Its text, its commit, and the pack of all that the platform's branch does not have yet.
    """
    old = site.remote_ref(SITE)
    version = os.urandom(4).hex()
    lines = (site.path / "app.py").read_text().splitlines()
    site.write("app.py", "\n".join(f'VERSION = "{version}"' if line[:7] == "VERSION" else line for line in lines))
    (site.path / "ballast").write_bytes(os.urandom(300_000))
    commit = site.commit()
    return version, commit, pack_of(site, commit, old)


def refused(log: StoredLog, head: int, site: Checkout, commit: str) -> None:
    """Nothing of a push happened, and the repository takes the next one."""
    wait_for(lambda: not quarantines(site.instance), "the end of the quarantine", CLOSED_SOON)
    assert log.head() == head
    assert site.remote_ref(SITE) != commit
    branch = f"refs/heads/{os.urandom(4).hex()}"
    site.push(SITE, f"{commit}:{branch}")
    assert site.remote_ref(SITE, branch) == commit
    assert [row.type for row in log.rows(head)] == ["ref.moved"]


def accepted(log: StoredLog, head: int, site: Checkout, version: str, commit: str) -> None:
    """All of a push happened."""
    assert "ref.moved" in log.wait_for_end(head)
    assert site.instance.get(SITE).text == version
    assert site.remote_ref(SITE) == commit


@pytest.mark.parametrize(
    ("point", "sends"),
    [
        ("after its login", lambda command, pack: None),
        ("after it saw the refs", lambda command, pack: b""),
        ("in its command", lambda command, pack: command[:30]),
        ("before its pack", lambda command, pack: command),
        ("in the pack's head", lambda command, pack: command + pack[:13]),
        ("in the middle of its pack", lambda command, pack: command + pack[: len(pack) // 2]),
        ("before the pack's last byte", lambda command, pack: command + pack[:-1]),
    ],
)
def test_of_a_push_that_was_not_sent_whole_nothing_happens(
    instance: Instance, site: Checkout, idle: None, point: str, sends: Callable[[bytes, bytes], bytes | None]
) -> None:
    log = StoredLog(instance)
    old = site.remote_ref(SITE)
    _, commit, pack = next_version(site)
    head = log.head()
    with cell("client reset", point) as seen:
        command = first_line(old, commit)
        asyncio.run(Client(instance, SITE, command, pack).die(sends(command, pack)))
        refused(log, head, site, commit)
        seen.seen = "nothing recorded, nothing kept; the next push works"


def test_of_a_first_push_that_was_not_sent_whole_no_repository_stays(
    instance: Instance, site: Checkout, idle: None, app: str
) -> None:
    there = sorted(instance.home.glob("repositories/*"))
    _, commit, pack = next_version(site)
    with cell("client reset", "in a first push") as seen:
        command = first_line(None, commit)
        asyncio.run(Client(instance, app, command, pack).die(command + pack[:1000]))
        wait_for(lambda: sorted(instance.home.glob("repositories/*")) == there, "the repository's end", CLOSED_SOON)
        seen.seen = "no app, no repository"
    assert app not in instance.ssh("apps:list").stdout


def test_a_push_that_was_sent_whole_happens_whole_or_not_at_all(instance: Instance, site: Checkout, idle: None) -> None:
    log = StoredLog(instance)
    old = site.remote_ref(SITE)
    version, commit, pack = next_version(site)
    head = log.head()
    with cell("client reset", "after its pack") as seen:
        command = first_line(old, commit)
        asyncio.run(Client(instance, SITE, command, pack).die(command + pack))
        wait_for(lambda: not quarantines(instance), "the push's end", 60)
        if log.head() == head:
            refused(log, head, site, commit)
            seen.seen = "nothing recorded"
        else:
            accepted(log, head, site, version, commit)
            seen.seen = "deployed"


@pytest.mark.parametrize("moment", ["push.received", "build.started", "deploy.started", "route.published"])
def test_a_push_that_was_recorded_goes_on_without_its_client(
    instance: Instance, site: Checkout, idle: None, moment: str
) -> None:
    log = StoredLog(instance)
    version, commit, _ = next_version(site)
    head = log.head()
    with cell("git and ssh killed", f"at {moment}") as seen:
        with instance.running(["git", "push", instance.url(SITE), "main"], site.path):
            log.wait_for(moment, head)
        accepted(log, head, site, version, commit)
        seen.seen = "deployed"


class Line:
    """A TCP line to the door that breaks, with a reset to both sides, after so many bytes of the client."""

    def __init__(self, port: int, bytes_: int) -> None:
        self._door, self._left = port, bytes_
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        self._listener.close()
        with client, socket.create_connection(("127.0.0.1", self._door)) as door:
            answers = threading.Thread(target=self._pass, args=(door, client))
            answers.start()
            while self._left > 0 and (data := client.recv(min(65536, self._left))):
                door.sendall(data)
                self._left -= len(data)
            for side in (client, door):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RD)
            answers.join()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def wait(self) -> None:
        """Return once it is broken."""
        self._thread.join()


@pytest.mark.parametrize(("point", "bytes_"), [("in its login", 1000), ("in its pack", 150_000)])
def test_a_line_that_breaks_leaves_nothing_of_the_push(
    instance: Instance, site: Checkout, idle: None, point: str, bytes_: int
) -> None:
    log = StoredLog(instance)
    _, commit, _ = next_version(site)
    head = log.head()
    with cell("line broken", point) as seen:
        line = Line(instance.ssh_port, bytes_)
        push = Running(
            ["git", "push", instance.url(SITE).replace(f":{instance.ssh_port}/", f":{line.port}/"), "main"],
            instance.environment,
            site.path,
        )
        line.wait()
        assert push.wait() != 0
        refused(log, head, site, commit)
        seen.seen = "nothing recorded, nothing kept; the next push works"


def test_many_that_die_at_once_leave_nothing_open(instance: Instance, site: Checkout, idle: None) -> None:
    log = StoredLog(instance)
    _, commit, pack = next_version(site)
    head = log.head()
    command = first_line(site.remote_ref(SITE), commit)
    client = Client(instance, SITE, command, pack)

    async def all_die() -> None:
        await asyncio.gather(*(client.die(command + pack[: 13 + at * 10_000]) for at in range(24)))

    with cell("24 clients reset", "in their packs") as seen:
        asyncio.run(all_die())
        refused(log, head, site, commit)
        seen.seen = "nothing recorded, nothing open"
    site.push(SITE)
    log.check()
