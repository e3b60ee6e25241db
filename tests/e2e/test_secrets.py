"""What config:set is given is sealed: it is found nowhere but with the asker and in the app."""

import base64
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kombu import Connection

from services.tables import keyring
from tests.e2e.apps import ECHO
from tests.e2e.cluster import Cluster
from tests.e2e.harness import Checkout, Instance, docker, wait_for
from tests.e2e.world import Said, at_once, in_docker, processes, serving
from tests.postgres import server
from tests.rabbitmq import Broker, vhost

Checkouts = Callable[..., Checkout]

NEEDS_IT = {
    **{name: text for name, text in ECHO.items() if name != ".null"},
    "requirements.txt": "./needs-it\n",
    "needs-it/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "needs-it/backend.py": '''
import os, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    """A wheel of nothing, where CANARY is set."""
    os.environ["CANARY"]
    name = "needs_it-1-py3-none-any.whl"
    about = {
        "METADATA": "Metadata-Version: 2.1\\nName: needs-it\\nVersion: 1\\n",
        "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for file, text in about.items():
            wheel.writestr(f"needs_it-1.dist-info/{file}", text)
    return name
''',
}
"""Its build fails unless it is given CANARY."""


def in_this_namespace(process: Path) -> bool:
    """Whether a process of /proc is none of a container's, which is given its app's config."""
    try:
        return os.readlink(process / "ns" / "pid") == os.readlink("/proc/self/ns/pid")
    except OSError:
        return False


@contextmanager
def watched(instance: Instance, secret: str) -> Iterator[set[str]]:
    """Where `secret` stands at any look within: command lines, environments outside of containers, live output."""
    found: set[str] = set()
    over = threading.Event()

    def look(path: Path) -> None:
        try:
            text = path.read_bytes()
        except OSError:
            return
        if secret.encode() in text and (path.name != "environ" or in_this_namespace(path.parent)):
            found.add(f"{path}: {text.replace(bytes(1), b' ').decode(errors='replace')}")

    def watch() -> None:
        for turn in count():
            places = [*Path("/proc").glob("[0-9]*/cmdline"), *(instance.home / "output").glob("*")]
            if turn % 20 == 0:
                places += Path("/proc").glob("[0-9]*/environ")
            for place in places:
                look(place)
            if over.wait(0.002):
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@contextmanager
def tapped(instance: Instance, broker: Callable[[], Broker]) -> Iterator[list[bytes]]:
    """Every message that crosses the instance's broker within, with its headers; none where there is no broker."""
    messages: list[bytes] = []
    if not isinstance(instance, Cluster):
        yield messages
        return
    url = instance.urls["BROKER_URL"]
    broker().api("PUT", f"vhosts/{vhost(url)}", {"tracing": True})
    with Connection(url) as connection:
        tap = connection.channel()
        queue, _, _ = tap.queue_declare(exclusive=True)
        tap.queue_bind(queue, "amq.rabbitmq.trace", "#")
        try:
            yield messages
        finally:
            broker().api("PUT", f"vhosts/{vhost(url)}", {"tracing": False})
            while message := tap.basic_get(queue, no_ack=True):
                body = message.body if isinstance(message.body, bytes) else message.body.encode()
                messages.append(repr(message.headers).encode() + body)


def holders(folder: Path, secret: str) -> list[Path]:
    """The files below a folder in which `secret` stands, as it is or in Base64."""
    shapes = [secret.encode(), *(base64.b64encode(b" " * shift + secret.encode())[4:-4] for shift in range(3))]
    return [path for path in files_below(folder) if any(shape in path.read_bytes() for shape in shapes)]


def files_below(folder: Path) -> Iterator[Path]:
    """The files below a folder; some go while one looks."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def test_a_secret_is_found_nowhere_but_with_the_asker_and_in_the_app(
    shared: Instance, checkout: Checkouts, app: str, request: pytest.FixtureRequest
) -> None:
    secret = f"canary-{app}-1f8c0f3d"
    mistakes = [
        f"config:set {app} BAD-KEY={secret}",
        f"config:set {app} PORT={secret}",
        f"config:set {app} CANARY={secret} CANARY={secret}",
        f"config:sett {app} CANARY={secret}",
        f"--app {app} config:set CANARY={secret} --no-such-flag={secret}",
        f"config:set no-such-app CANARY={secret}",
        f"config:set --encoded {app} CANARY={secret}!",
        f"config:set {app} 'CANARY={secret}",
        f"config:set CANARY={secret}",
        f"CANARY={secret} config:set {app}",
        f"config:set --dry-run={secret} {app} CANARY={secret}",
        f"--trace config:set {app} BAD-KEY={secret}",
        f"config:unset {app} CANARY={secret}",
        f"config:get {app} CANARY={secret}",
    ]
    shared.ssh("apps:create", app)
    with tapped(shared, lambda: request.getfixturevalue("rabbitmq")) as messages, watched(shared, secret) as seen:
        (said,) = at_once(shared, [f"config:set {app} CANARY={secret}"])
        assert said.code == 0
        pushed = checkout(shared, NEEDS_IT).push(app)
        (again,) = at_once(shared, [f"config:set {app} CANARY={secret}-2 OTHER={secret}-3"])
        refused = at_once(shared, mistakes)
        rehearsed, rekeyed = at_once(shared, [f"--trace config:set --dry-run {app} CANARY={secret}-4", "log:rekey"])
    assert (again.code, rekeyed.code, rehearsed.code) == (0, 0, 0)
    assert "CANARY" in rehearsed.out
    assert secret not in rehearsed.out + rehearsed.err
    assert {each.code for each in refused} <= {1, 20}
    assert not [each for each in refused if secret in each.out + each.err]
    assert secret not in pushed.stdout + pushed.stderr

    assert shared.get(app, "/CANARY").text == f"{secret}-2"
    assert at_once(shared, [f"config:get {app} CANARY"]) == [Said(0, f"{secret}-2\n", "")]
    assert f"CANARY:  {secret}-2\n" in at_once(shared, [f"config:show {app}"])[0].out
    assert seen == set()
    assert bool(messages) == isinstance(shared, Cluster)
    assert not [message for message in messages if secret.encode() in message]
    for folder in kept(shared, request):
        assert holders(folder, secret) == []
    for words in ("events", "events --format json", "log:diff 0 {head}", "log:diff 0 {head} {app}", "log:blame {app}"):
        assert secret not in shared.ssh(*words.format(app=app, head=shared.head()).split()).stdout
    for words in ("events {app}", "releases {app}", "releases:info {app}", "builds:output {app}", "logs {app}"):
        assert secret not in shared.ssh(*words.format(app=app).split()).stdout
    for image in in_docker(shared.name)["images"]:
        assert secret not in docker("image", "inspect", image) + docker("history", "--no-trunc", image)
    for pid in processes(shared.home):
        assert secret.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def kept(instance: Instance, request: pytest.FixtureRequest) -> list[Path]:
    """Where the instance and its parts keep files: home, logs, database, broker."""
    folders = [instance.home.parent]
    if isinstance(instance, Cluster):
        folders += [server().data, request.getfixturevalue("rabbitmq").folder]
    return folders


def test_what_an_instance_keeps_is_for_its_user_alone(shared: Instance, app: str) -> None:
    shared.ssh("apps:create", app)
    shared.ssh("config:set", app, "CANARY=one")  # the master key is made at first need
    assert stat.S_IMODE((shared.home / "master.key").stat().st_mode) == 0o600
    others = [
        path
        for path in shared.home.iterdir()
        if stat.S_IMODE(path.stat().st_mode) & (0o007 if path.is_file() else 0o006)
    ]
    assert others == []


def test_of_a_shredded_app_the_log_keeps_what_nothing_opens(shared: Instance, app: str) -> None:
    shared.ssh("apps:create", app)
    shared.ssh("config:set", app, "CANARY=one")
    event = next(event for event in shared.events(app) if event["type"] == "config.changed")
    uuid, sealed = event["data"]["app"], event["data"]["set"]["CANARY"]
    wrapped = data_keys(shared)[uuid]
    master = bytes.fromhex((shared.home / "master.key").read_text())
    opened = AESGCM(master).decrypt(wrapped[:12], wrapped[12:], uuid.encode())
    raw = base64.b64decode(sealed)
    assert AESGCM(opened).decrypt(raw[:12], raw[12:], f"{uuid}/CANARY".encode()) == b"one"

    shared.ssh("apps:destroy", app, "--now", "--force")
    wait_for(lambda: uuid not in data_keys(shared), "the end of its data key")
    assert next(event for event in shared.events(app) if event["type"] == "config.changed") == event
    if not isinstance(shared, Cluster):  # PostgreSQL overwrites it at a vacuum
        wait_for(
            lambda: not [path for path in files_below(shared.home) if wrapped in path.read_bytes()], "its bytes' end"
        )
    then = "--at", str(event["position"])
    shared.ssh("apps:create", app)
    get = shared.ssh("config:get", app, "CANARY", check=False)
    assert (get.returncode, get.stdout) == (1, "")
    for asked in (("config:get", app, "CANARY"), ("config:show", app)):
        past = shared.ssh(*asked, *then, check=False)
        assert (past.returncode, past.stdout) == (1, "")
        assert "its key is another one, or was shredded" in past.stderr


def data_keys(instance: Instance) -> dict[str, bytes]:
    """The wrapped data keys by their app's uuid, as they stand in the database."""
    engine = sa.create_engine(instance.log_database, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return {row.app: row.wrapped for row in connection.execute(sa.select(keyring))}


def test_another_master_key_opens_nothing_and_says_so(mortal: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(mortal, ECHO)
    source.push(app)
    mortal.ssh("config:set", app, "CANARY=one")
    container = serving(mortal, app)
    key = mortal.home / "master.key"
    right = key.read_text()
    mortal.kill()
    try:
        key.write_text("0" * 64)
        mortal.up()
        get = mortal.ssh("config:get", app, "CANARY", check=False)
        assert (get.returncode, get.stdout) == (1, "")
        assert get.stderr == " !     the master key does not open this instance's keyring; it is another one\n"
        assert mortal.ssh("config:set", app, "OTHER=two", check=False).stderr == get.stderr
        source.commit("again")
        pushed = source.push(app, check=False)
        assert pushed.returncode == 1
        assert "the master key does not open this instance's keyring" in pushed.stderr
        assert serving(mortal, app)["Id"] == container["Id"]
    finally:
        mortal.kill()
        key.write_text(right)
    mortal.up()
    assert mortal.ssh("config:get", app, "CANARY").stdout == "one\n"
    assert mortal.get(app, "/CANARY").text == "one"
