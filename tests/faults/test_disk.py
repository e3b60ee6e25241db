"""The disk below the home is full: what needs room is refused with numbers, nothing is lost, apps serve, it goes on."""

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.disk import RESERVE
from tests.e2e.apps import ECHO, SLOW
from tests.e2e.harness import Checkout, Instance, Poller, Running, wait_for
from tests.e2e.world import StoredLog
from tests.faults.client import Client, first_line, pack_of, quarantines
from tests.faults.instances import started
from tests.faults.matrix import cell
from tests.faults.small_disk import SmallDisk

pytestmark = pytest.mark.timeout(600)  # a busy machine's

MIB = 1 << 20
SITE = "site"
QUIET = "/say/" + "x" * 2000


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    """A disk of 192 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it mounts a small disk")
    disk = SmallDisk(tmp_path_factory.mktemp("disk"), 192 * MIB)
    disk.mount()
    try:
        yield disk
    finally:
        disk.unmount()


@pytest.fixture(scope="module")
def instance(disk: SmallDisk) -> Iterator[Instance]:
    """An instance whose home is on that disk."""
    home = disk.path / "home"
    home.mkdir()
    (home / "pushlog.log").symlink_to(disk.folder / "pushlog.log")  # so that it tells what found no room
    with started(Instance(home, f"faults-{os.getpid()}-disk")) as instance:
        yield instance


@pytest.fixture(scope="module")
def site(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout of an app that serves."""
    source = Checkout.of(ECHO, tmp_path_factory.mktemp("site") / "checkout", instance)
    source.push(SITE)
    return source


@pytest.fixture(autouse=True)
def harmless(disk: SmallDisk, instance: Instance, site: Checkout) -> Iterator[None]:
    """Whatever happens, the app serves and the log is whole; with room again the next push works."""
    with Poller(instance, SITE) as visitor:
        yield
        disk.free()
        source = site.path / "note"
        source.write_text(os.urandom(4).hex())
        site.commit()
        branch = f"refs/heads/{os.urandom(4).hex()}"
        site.push(SITE, f"HEAD:{branch}")
    assert visitor.failures == []
    StoredLog(instance).check()
    wait_for(lambda: not quarantines(instance), "the end of all quarantines")


def refused(push: Running, log: StoredLog, head: int) -> str:
    """What a push was refused with; nothing was recorded of it."""
    assert push.wait() != 0
    assert log.head() == head
    found = [line for line in push.lines if "are needed" in line or "free there" in line]
    assert found, push.lines
    return found[0].removeprefix("error: remote unpack failed: ")


def short(said: str) -> str:
    """What a push was refused with, for the table."""
    return re.sub(r" at /\S*,", ",", said[said.index("the disk") :]).partition(";")[0]


def pushing(source: Checkout, app: str) -> Running:
    """A push under way."""
    return Running(["git", "push", source.instance.url(app), "main"], source.instance.environment, source.path)


def test_a_push_to_a_full_disk_is_refused_before_it_is_taken(
    disk: SmallDisk, instance: Instance, site: Checkout
) -> None:
    log = StoredLog(instance)
    site.commit()
    head = log.head()
    with cell("disk full", "before a push") as seen:
        disk.fill(10 * MIB)
        said = refused(pushing(site, SITE), log, head)
        found = re.search(r"the disk is full: ([\d.]+) MiB are free at .*, 32 MiB are needed", said)
        assert found
        assert 9 < float(found[1]) <= 10
        seen.seen = short(said)


def test_a_push_that_would_fill_the_disk_is_refused_on_its_way(
    disk: SmallDisk, instance: Instance, site: Checkout, app: str, tmp_path: Path
) -> None:
    source = Checkout.of(ECHO, tmp_path / "large", instance)
    (source.path / "ballast").write_bytes(os.urandom(40 * MIB))
    source.commit()
    log = StoredLog(instance)
    head = log.head()
    with cell("disk full", "in a pack") as seen:
        disk.fill(RESERVE + 20 * MIB)
        said = refused(pushing(source, app), log, head)
        assert re.search(r"the disk is full: [\d.]+ MiB are free at .*, 32 MiB are needed", said)
        seen.seen = short(said)
    assert app not in instance.ssh("apps:list").stdout


def test_a_disk_that_others_fill_while_a_pack_comes_refuses_it(
    disk: SmallDisk, instance: Instance, site: Checkout
) -> None:
    log = StoredLog(instance)
    old = site.remote_ref(SITE)
    (site.path / "ballast").write_bytes(os.urandom(2 * MIB))
    commit = site.commit()
    head = log.head()
    pack = pack_of(site, commit, old)
    with cell("disk filled by others", "in a pack") as seen:
        client = Client(instance, SITE, first_line(old, commit), pack)
        answer = asyncio.run(client.pause_in_pack(disk.fill))
        assert b"No space left on device" in answer
        assert log.head() == head
        seen.seen = answer[answer.index(b"No space") :].split(b"\n")[0][:60].decode(errors="replace")


def test_a_tree_that_is_larger_than_the_disk_is_refused(
    disk: SmallDisk, instance: Instance, site: Checkout, app: str, tmp_path: Path
) -> None:
    source = Checkout.of(ECHO, tmp_path / "zeros", instance)
    (source.path / "zeros").write_bytes(bytes(60 * MIB))
    source.commit()
    log = StoredLog(instance)
    head = log.head()
    with cell("disk full", "in storing a source") as seen:
        disk.fill(RESERVE + 30 * MIB)
        said = refused(pushing(source, app), log, head)
        assert re.search(r"the disk is full: [\d.]+ MiB are free at .*, 92 MiB are needed", said)
        seen.seen = short(said)
    assert app not in instance.ssh("apps:list").stdout


def test_a_setting_that_cannot_be_recorded_is_refused_and_recorded_later(
    disk: SmallDisk, instance: Instance, site: Checkout
) -> None:
    log = StoredLog(instance)
    kept = "small"
    instance.pushlog("config:set", "--no-restart", SITE, f"BIG={kept}")
    with cell("disk full", "in an append") as seen:
        disk.fill()
        for number in range(200):  # the log's files have some room of their own
            head, value = log.head(), f"{number}{'x' * 30000}"
            done = instance.pushlog("config:set", "--no-restart", SITE, f"BIG={value}", check=False)
            if done.returncode:
                break
            kept = value
        assert done.returncode != 0
        assert "disk is full" in done.stderr
        assert log.head() == head
        assert instance.pushlog("config:get", SITE, "BIG").stdout == f"{kept}\n"
        seen.seen = done.stderr.strip().removeprefix("!").strip()
        disk.free()
        instance.pushlog("config:set", "--no-restart", SITE, "BIG=small")
    assert instance.pushlog("config:get", SITE, "BIG").stdout == "small\n"


def test_a_build_whose_output_cannot_be_kept_waits_for_room(
    disk: SmallDisk, instance: Instance, site: Checkout, app: str, tmp_path: Path
) -> None:
    source = Checkout.of(SLOW, tmp_path / "slow", instance)
    log = StoredLog(instance)
    head = log.head()
    with cell("disk full", "in a build") as seen:
        push = pushing(source, app)
        push.wait_for_line("Installing dependencies")
        disk.fill()
        wait_for(lambda: complaints(instance, "builder.on.push.received"), "a builder without room", 120)
        assert "build.succeeded" not in [row.type for row in log.rows(head)]
        disk.free()
        assert push.wait() == 0, push.lines
        seen.seen = "deployed once there was room"
    assert log.wait_for_end(head)


def complaints(instance: Instance, hop: str) -> list[str]:
    """What the platform logged of a hop that found no room."""
    lines = (instance.home / "pushlog.log").read_text(errors="replace").splitlines()
    return [line for line in lines if hop in line and ("No space left" in line or "disk is full" in line)]


def test_a_container_stays_until_there_is_room_for_what_it_printed(
    disk: SmallDisk, instance: Instance, site: Checkout
) -> None:
    log = StoredLog(instance)
    for _ in range(40):
        instance.get(SITE, QUIET)
    version = os.urandom(4).hex()
    site.write("app.py", ECHO["app.py"].replace('"one"', f'"{version}"'))
    site.commit()
    head = log.head()
    with cell("disk full", "in retiring a release") as seen:
        push = pushing(site, SITE)
        log.wait_for("route.published", head)
        disk.fill()
        wait_for(lambda: complaints(instance, "deployer.on.route.published"), "a deployer without room", 120)
        assert instance.get(SITE).text == version
        disk.free()
        assert push.wait() == 0, push.lines
        log.wait_for("release.retired", head, 60)
        seen.seen = "the old container's lines are kept"
    assert instance.ssh("logs", SITE, "-n", "100").stdout.count("x" * 2000) == 40
