"""An instance is exported, every trace of it is destroyed, and another one on another home is it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.chain import COLUMNS, Row
from services.memorylog import MemoryLog
from services.projections import Projections
from services.tables import events
from tests import fleet, postgres
from tests.e2e.apps import ECHO
from tests.e2e.cluster import Cluster
from tests.e2e.harness import Answer, Checkout, Instance, Runs, passable, started, wait_for
from tests.e2e.world import at_once, in_docker

pytestmark = pytest.mark.only("embedded", "what a backup is does not depend on it; tests/contract has both logs")

APPS = [f"app-{number}" for number in range(1, 10)]
"""All that serve. Beside them stand an app without a release, one that is destroyed, and one whose deploy failed."""
ASKED = ("/", "/GREETING", "/TOKEN")
COMMANDS = ("apps:list", "ssh-keys:list", "domains:report --format json")
OF_AN_APP = ("releases", "config:show", "ps:scale", "builds:list", "domains:report")
NOTHING: dict[str, set[str]] = {"containers": set(), "networks": set(), "volumes": set(), "images": set()}
CANARY = "canary-value-of-a-secret"


@dataclass
class Seen:
    """What can be seen of an instance."""

    commands: dict[str, str]
    answers: dict[tuple[str, str], Answer]
    refs: dict[str, str]


def seen(instance: Instance, checkout: Checkout) -> Seen:
    """Ask an instance for everything."""
    lines = [*COMMANDS, *(f"{command} {app}" for app in (*APPS, "empty") for command in OF_AN_APP)]
    hosts = [*APPS, "shop.example.org"]
    there = Checkout(checkout.path, instance)
    said = [each for at in range(0, len(lines), 16) for each in at_once(instance, lines[at : at + 16])]
    assert not any(each.code for each in said)
    return Seen(
        {line: each.out for line, each in zip(lines, said, strict=True)},
        {(host, path): instance.get(host, path) for host in hosts for path in ASKED},
        {app: there.git("ls-remote", instance.url(app)).stdout for app in APPS},
    )


def rows(instance: Instance) -> list[Row]:
    """The log as it is stored."""
    engine = sa.create_engine(instance.log_database, poolclass=sa.NullPool)
    with engine.connect() as connection:
        found = connection.execute(sa.select(events.c[*COLUMNS, "hash"]).order_by(events.c.position))
        return [tuple(row) for row in found]


def states(stored: Sequence[Row]) -> list[Any]:
    """What every fold knows of a log."""
    log = MemoryLog()
    log.adopt(stored, {})
    projections = Projections(log)
    for name, fold in fleet.folds():
        projections.add(fold, name)
    projections.catch_up()
    return [fold.__getstate__() for fold in projections.folds]


def live(instance: Instance, checkout: Checkout) -> None:
    """What ten apps went through."""
    for number, app in enumerate(APPS, 1):
        checkout.write("app.py", ECHO["app.py"].replace('"one"', f'"{app}"'))
        checkout.commit(f"begin {app}")
        checkout.push(app, "+HEAD:main")
        if number == 1:
            instance.pushlog("config:set", app, "GREETING=hello", f"TOKEN={CANARY}")
        if number == 2:
            instance.pushlog("ps:scale", app, "web=2", "worker=1")
        if number == 3:
            instance.pushlog("domains:add", app, "shop.example.org")
        if number == 4:
            checkout.edit("app.py", f'"{app}"', f'"{app} again"')
            checkout.commit("again")
            checkout.push(app, "HEAD:main")
            checkout.git("tag", "-a", "-m", "first", "v1")
            checkout.push(app, "v1")
        if number == 5:
            assert instance.pushlog("config:set", app, "MOOD=bad", check=False).returncode
            instance.pushlog("config:set", "--no-restart", app, "MOOD=good")
        if number == 6:
            instance.pushlog("config:set", app, "GREETING=hi")
            instance.pushlog("config:unset", app, "GREETING")
            checkout.push(app, "HEAD:side")
    instance.pushlog("apps:create", "empty")
    instance.pushlog("config:set", "empty", "GREETING=kept")
    checkout.push("doomed", "HEAD:main")
    instance.pushlog("apps:destroy", "--force", "doomed")
    second = instance.home.parent / "second"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(second)], check=True)
    instance.pushlog("ssh-keys:add", "second", str(second.with_suffix(".pub")))


@dataclass
class Moved:
    """What was seen and stored before, what the export said, and the instance that came of it."""

    before: Seen
    stored: list[Row]
    archive: Path
    told: str
    instance: Instance
    checkout: Checkout


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    folder = tmp_path_factory.mktemp("moved")
    archive, passphrase = folder / "pushlog.backup", folder / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    for side in ("old", "new"):
        (folder / side).mkdir()
        passable(folder / side)
    with started(Instance(folder / "old" / "home", f"e2e-{os.getpid()}-old")) as old:
        checkout = Checkout.of(ECHO, folder / "checkout", old)
        live(old, checkout)
        wait_for(lambda: not pending(old), "the end of all work")
        told = old.pushlog("backup:export", "--passphrase-file", str(passphrase), str(archive)).stderr
        before, stored = seen(old, checkout), rows(old)
        key = old.key
        old.purge()
        assert in_docker(old.name) == NOTHING
        assert not old.home.exists()
    new = Instance(folder / "new" / "home", f"e2e-{os.getpid()}-new", {"SUBNET": f"10.222.{os.getpid() % 256}.0/24"})
    for suffix in ("", ".pub"):
        key.with_name(key.name + suffix).rename(new.key.with_name(new.key.name + suffix))
    try:
        new.pushlog("backup:import", "--passphrase-file", str(passphrase), str(archive))
        new.up()
        wait_for(lambda: all(serves(new, app) for app in APPS), "all apps to serve", 60)
        yield Moved(before, stored, archive, told, new, checkout)
    finally:
        new.purge()


def pending(instance: Instance) -> set[str]:
    """Whatever is not retired yet."""
    stored = [event for event in instance.events() if event["type"] in ("route.published", "release.retired")]
    replaced = {e["id"] for e in stored if e["type"] == "route.published" and e["data"]["replaces"] is not None}
    return replaced - {e["causationid"] for e in stored if e["type"] == "release.retired"}


def serves(instance: Instance, app: str) -> bool:
    """Whether an app answers."""
    try:
        return instance.get(app).status == 200
    except OSError:
        return False


def test_every_app_answers_the_same_and_everything_that_can_be_asked_is_the_same(moved: Moved) -> None:
    now = seen(moved.instance, moved.checkout)
    assert now.answers == moved.before.answers
    assert {answer.status for answer in now.answers.values()} == {200}
    assert now.refs == moved.before.refs
    assert now.commands == moved.before.commands
    assert CANARY in now.commands["config:show app-1"]


def test_the_log_begins_with_the_old_one_and_makes_the_same_states_up_to_there(moved: Moved) -> None:
    now = rows(moved.instance)
    assert now[: len(moved.stored)] == moved.stored
    assert states(now[: len(moved.stored)]) == states(moved.stored)
    assert {row[4] for row in now[len(moved.stored) :]} == {"image.restored", "containers.moved", "addresses.taken"}


def test_it_says_of_each_image_what_it_is_here_and_of_each_container_where(moved: Moved) -> None:
    later = moved.instance.events()[len(moved.stored) :]
    restored = {
        event["data"]["image"]: event["data"]["restored"] for event in later if event["type"] == "image.restored"
    }
    assert len(restored) == len(APPS)
    images = {found["Image"] for found in moved.instance.containers()}
    assert images == set(restored.values())
    network = moved.instance.settings["SUBNET"].rpartition(".")[0]
    assert all(address.startswith(network) for found in moved.instance.containers() for address in addresses(found))


def addresses(container: dict[str, Any]) -> list[str]:
    """Where a container answers."""
    return [network["IPAddress"] for network in container["NetworkSettings"]["Networks"].values()]


def test_the_processes_are_as_many_as_before(moved: Moved) -> None:
    assert len(moved.instance.containers_of("app-2")) == 3


def test_a_restart_brings_the_same_up_and_records_nothing(moved: Moved) -> None:
    head, before = moved.instance.head(), {found["Id"] for found in moved.instance.containers()}
    moved.instance.down()
    moved.instance.up()
    wait_for(lambda: all(serves(moved.instance, app) for app in APPS), "all apps to serve")
    assert {found["Id"] for found in moved.instance.containers()} == before
    assert moved.instance.head() == head


def test_the_next_push_and_change_go_on_from_there(moved: Moved) -> None:
    moved.instance.pushlog("config:set", "app-7", "GREETING=after")
    assert moved.instance.get("app-7", "/GREETING").text == "after"
    checkout = Checkout.clone("app-8", moved.archive.parent / "clone", moved.instance)
    checkout.edit("app.py", '"app-8"', '"app-8 later"')
    checkout.commit("later")
    said = checkout.push("app-8").stderr
    assert "v2" in said
    assert moved.instance.get("app-8").text == "app-8 later"


def test_an_image_that_somebody_removed_is_made_again(moved: Moved) -> None:
    [container] = moved.instance.containers_of("app-9")
    moved.instance.down()  # or it starts another container of the image before that is gone
    subprocess.run(["docker", "rm", "-f", container["Id"]], check=True, capture_output=True)
    subprocess.run(["docker", "rmi", "-f", container["Image"]], check=True, capture_output=True)
    moved.instance.up()
    wait_for(lambda: serves(moved.instance, "app-9"), "the app to serve again")
    assert moved.instance.types("app-9").count("image.restored") == 2


def test_an_app_that_was_destroyed_before_can_be_had_back_here(moved: Moved) -> None:
    destroyed = next(row[0] for row in moved.stored if row[4] == "app.destroyed")
    moved.instance.pushlog("log:undo", str(destroyed))
    wait_for(lambda: serves(moved.instance, "doomed"), "the app to serve")
    assert moved.instance.get("doomed").text == "app-9"


def test_a_rollback_whose_image_is_not_here_has_it_made_again(moved: Moved) -> None:
    assert moved.instance.get("app-4").text == "app-4 again"
    said = moved.instance.pushlog("rollback", "app-4", "v1").stderr
    assert "Its image is not on this host" in said
    assert moved.instance.get("app-4").text == "app-4"


def test_an_image_that_cannot_be_made_again_ends_the_deploy_with_the_reason(moved: Moved) -> None:
    instance = moved.instance
    id_ = next(e["data"]["app"] for e in instance.events("app-6") if e["type"] == "push.received")
    objects = instance.home / "repositories" / f"{id_}.git" / "objects"
    [container] = instance.containers_of("app-6")
    objects.rename(objects.with_name("elsewhere"))
    subprocess.run(["docker", "rm", "-f", container["Id"]], check=True, capture_output=True)
    subprocess.run(["docker", "rmi", "-f", container["Image"]], check=False, capture_output=True)
    done = instance.pushlog("config:set", "app-6", "GREETING=later", check=False)
    assert done.returncode == 1
    assert "Its image is not on this host" in done.stderr
    assert "what was pushed is not kept; push it again" in done.stderr
    objects.with_name("elsewhere").rename(objects)
    assert instance.types("app-6")[-4:] == ["image.lost", "deploy.started", "addresses.taken", "deploy.failed"]
    instance.pushlog("config:unset", "app-6", "GREETING", check=False)
    checkout = Checkout.clone("app-6", moved.archive.parent / "clone-6", instance)
    checkout.commit("once more")
    checkout.push("app-6")
    assert instance.get("app-6").text == "app-6"


def test_no_secret_is_in_a_sealed_backup_nor_the_passphrase_in_the_log(moved: Moved) -> None:
    content = moved.archive.read_bytes()
    assert b'"sealed": true' in content
    assert CANARY.encode() not in content
    assert "can read every secret" not in moved.told
    assert b"correct horse" not in b"".join(json.dumps(row).encode() for row in rows(moved.instance))
    assert moved.archive.stat().st_mode & 0o777 == 0o600


def test_a_running_instance_becomes_what_another_was_at_a_moment(moved: Moved, tmp_path: Path) -> None:
    passable(tmp_path)
    first = next(row[0] for row in moved.stored if row[4] == "ref.moved")
    instance = Instance(tmp_path / "home", f"e2e-{os.getpid()}-then", {"SUBNET": f"10.223.{os.getpid() % 256}.0/24"})
    try:
        instance.up()
        words = ("--passphrase-file", str(moved.archive.parent / "passphrase"), "--until", str(first))
        looked = instance.pushlog("backup:import", *words, str(moved.archive), "--dry-run").stderr
        assert f"Would import 1 app with {first} events" in looked
        assert instance.events() == []
        instance.pushlog("backup:import", *words, str(moved.archive))
        wait_for(lambda: serves(instance, "app-1"), "the app to serve")
        assert instance.get("app-1").text == "app-1"
        assert instance.pushlog("apps:list").stdout == "app-1\n"
        assert rows(instance)[:first] == moved.stored[:first]
        instance.pushlog("config:set", "app-1", "GREETING=from then on")
        assert instance.get("app-1", "/GREETING").text == "from then on"
    finally:
        instance.purge()


def test_it_is_refused_where_there_are_events_with_the_wrong_passphrase_and_over_ssh_too(moved: Moved) -> None:
    wrong = moved.archive.parent / "wrong"
    wrong.write_text("another\n")
    refused = moved.instance.pushlog("backup:import", str(moved.archive), check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "events already" in refused.stderr
    for words, sentence in (
        (("backup:verify", str(moved.archive), "--passphrase-file", str(wrong)), "another passphrase"),
        (("backup:verify", str(moved.archive)), "is sealed; give its passphrase"),
        (("backup:verify", str(wrong)), "no backup"),
    ):
        refused = moved.instance.pushlog(*words, check=False)
        assert refused.returncode == 1
        assert sentence in refused.stderr
        assert refused.stderr.count("\n") == 1
    refused = moved.instance.ssh("backup:verify", "some-file", check=False)
    assert "only the local pushlog command takes a file" in refused.stderr


def test_over_ssh_it_is_a_stream(moved: Moved) -> None:
    argv = moved.instance.ssh_argv("backup:export")
    out = subprocess.run(argv, env=moved.instance.environment, capture_output=True, check=True)
    assert b"can read every secret" in out.stderr
    checked = subprocess.run(
        moved.instance.ssh_argv("backup:verify", "--format", "json"),
        env=moved.instance.environment,
        input=out.stdout,
        capture_output=True,
        check=True,
    )
    found = json.loads(checked.stdout)
    assert json.loads(moved.instance.pushlog("log:verify", "--head", found["head"]).stdout)["holds"]
    assert found["apps"] == str(len(APPS) + 2)


@pytest.mark.only("cluster", "the rest is of one process")
def test_a_cluster_that_runs_becomes_what_another_one_was(
    running: Runs, checkout: Callable[..., Checkout], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    archive = tmp_path / "b"
    for side in ("old", "new"):
        (tmp_path / side).mkdir()
    with running(tmp_path / "old", f"e2e-{os.getpid()}-cluster-old", {}) as old:
        checkout(old, ECHO).push("hello")
        old.pushlog("config:set", "hello", "GREETING=hi")
        old.pushlog("backup:export", str(archive))
    passable(tmp_path / "new")
    with postgres.server().database() as database:
        broker = request.getfixturevalue("rabbitmq").url()
        urls = {"LOG_URL": database.url, "LOG_OWNER_URL": database.owner_url, "BROKER_URL": broker}
        settings = {"SUBNET": f"10.224.{os.getpid() % 256}.0/24"}
        new = Cluster(tmp_path / "new" / "home", f"e2e-{os.getpid()}-cluster-new", settings, urls=urls)
        try:
            new.pushlog("prepare")
            new.up()
            new.pushlog("backup:import", str(archive))
            wait_for(lambda: serves(new, "hello"), "the app to serve", 60)
            assert new.get("hello", "/GREETING").text == "hi"
            assert {event["type"] for event in new.events()} >= {"image.restored", "containers.moved"}
        finally:
            new.purge()
