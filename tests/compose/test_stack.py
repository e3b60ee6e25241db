"""docker-compose.yml, run: a stack is started, used, hurt, stopped and removed."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import BUNDLE, USERS, Stack
from tests.e2e.harness import EXAMPLES, Checkout, docker, wait_for
from tests.e2e.world import serving

pytestmark = pytest.mark.timeout(900)
APP = "hello"
CONNECT = """
import socket, sys
for host, port in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
        print(host, port)
    except OSError:
        pass
"""

TRUSTING = {
    "Procfile": "web: python3 -m http.server $PORT\n",
    "requirements.txt": "./trusting\n",
    "trusting/pyproject.toml": """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
""",
    "trusting/backend.py": """
import os

def build_wheel(*_):
    raise SystemExit(f"it trusts {os.path.getsize(os.environ['SSL_CERT_FILE'])} bytes")
""",
}
"""An app whose build ends with the size of the CA bundle that it trusts."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that runs, with the tester's key."""
    stack = Stack(tmp_path_factory.mktemp("stack") / "checkout", f"compose-{os.getpid()}")
    try:
        stack.build()
        stack.start()
        yield stack
    finally:
        stack.purge()


@pytest.fixture(scope="module")
def checkout(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout of examples/hello-python, pushed."""
    checkout = Checkout.of("hello-python", tmp_path_factory.mktemp("hello") / "hello", stack)
    checkout.push(APP)
    return checkout


def greeting(stack: Stack) -> str:
    """What the app says through nginx; nothing while it cannot be asked."""
    try:
        answer = stack.get(APP)
    except OSError:
        return ""
    return answer.text if answer.status == 200 else ""


def push(checkout: Checkout, text: str) -> None:
    """Push the app with another greeting, and see it served."""
    checkout.write("app.py", (EXAMPLES / "hello-python/app.py").read_text().replace("Hello", text))
    checkout.commit(text)
    checkout.push(APP)
    assert text in greeting(checkout.instance)  # type: ignore[arg-type]  # it is the stack


def test_a_push_is_served(stack: Stack, checkout: Checkout) -> None:
    assert "Hello" in greeting(stack)


def test_no_process_of_a_service_is_root(stack: Stack) -> None:
    for service, user in USERS.items():
        number = stack.run(service, "id", "-u", user).strip()
        container = stack.of(service)[0]["Id"]
        lines = docker("top", container, "-eo", "pid,uid,args").splitlines()[1:]
        others = [line for line in lines if line.split()[1] != number and "docker-init" not in line]
        assert others == [], service


def test_secrets_are_for_one_user_alone(stack: Stack) -> None:
    modes = stack.run("builder", "stat", "-c", "%a %U", "/run/secrets/bus/url", "/run/secrets/master/key")
    assert modes.splitlines() == ["400 pushlog"] * 2
    assert stack.run("rabbitmq", "stat", "-c", "%a %U", "/run/secrets/broker/definitions.json") == "400 rabbitmq\n"
    assert "guest" not in stack.run("rabbitmq", "/usr/lib/rabbitmq/bin/rabbitmqctl", "list_users")


def test_an_app_reaches_neither_the_broker_nor_the_database(stack: Stack, checkout: Checkout) -> None:
    app = serving(stack, APP)
    (rabbitmq,) = stack.of("rabbitmq")
    (network,) = rabbitmq["NetworkSettings"]["Networks"].values()
    (own,) = app["NetworkSettings"]["Networks"].values()
    broker = (network["IPAddress"], network["Gateway"], own["Gateway"], "127.0.0.1")
    targets = [word for host in broker for word in (host, str(stack.broker_port))]
    hosts_view = subprocess.run(["python3", "-c", CONNECT, *targets], capture_output=True, text=True, check=True)
    assert network["IPAddress"] in hosts_view.stdout, "what the app is to miss is there"
    assert docker("exec", app["Id"], "python3", "-c", CONNECT, *targets) == ""
    assert not any(mount["Type"] == "bind" or "database" in str(mount) for mount in app["Mounts"])
    assert stack.of("postgres")[0]["HostConfig"]["NetworkMode"] == "none"


@pytest.mark.skipif(not BUNDLE.is_file(), reason="this machine has no CA bundle")
def test_builds_trust_what_the_machine_trusts(stack: Stack, tmp_path: Path) -> None:
    said = Checkout.of(TRUSTING, tmp_path / "trusting", stack).push("trusting", check=False).stderr
    assert f"it trusts {BUNDLE.stat().st_size} bytes" in said


def test_builders_can_be_more_than_one(stack: Stack, checkout: Checkout, tmp_path: Path) -> None:
    stack.compose("up", "-d", "--no-recreate", "--scale", "builder=2")
    stack.wait_until_well()
    assert len(stack.of("builder")) == 2
    others = [Checkout.of("hello-python", tmp_path / name, stack) for name in ("first", "second")]
    pushing = [
        subprocess.Popen(
            ["git", "push", "-q", stack.url(other.path.name), "main"], cwd=other.path, env=stack.environment
        )
        for other in others
    ]
    assert [each.wait(120) for each in pushing] == [0, 0]
    for other in others:
        assert stack.types(other.path.name).count("build.succeeded") == 1


def test_every_service_that_is_killed_comes_back_and_goes_on(stack: Stack, checkout: Checkout) -> None:
    for service in USERS:
        before = stack.of(service)[0]
        stack.kill_service(service)

        def is_back(service: str = service, started: str = before["State"]["StartedAt"]) -> bool:
            state = stack.of(service)[0]["State"]
            return bool(state["Running"]) and state["StartedAt"] != started

        wait_for(is_back, f"a new start of {service}")
    stack.wait_until_well()
    wait_for(lambda: greeting(stack), "the app's answer", 60)
    push(checkout, "Again")


def test_the_master_key_is_rotated_and_config_is_read_as_before(stack: Stack, checkout: Checkout) -> None:
    stack.ssh("config:set", "--no-restart", APP, "GREETING=hi")
    old, new = stack.run("gitreceiver", "cat", "/run/secrets/master/key"), secrets.token_hex(32)
    stack.compose("exec", "-T", "gitreceiver", "pushlog", "log:rekey", stdin=new)
    stack.compose("run", "--rm", "-T", "--no-deps", "setup", "tee", "/run/secrets/master/key", stdin=new)
    stack.compose("restart", "gitreceiver", "builder", "deployer")
    stack.wait_until_well()
    assert stack.run("deployer", "cat", "/run/secrets/master/key") == new != old
    assert stack.ssh("config:get", APP, "GREETING").stdout == "hi\n"
    push(checkout, "Rotated")
    container = serving(stack, APP)
    assert "GREETING=hi" in container["Config"]["Env"]


def test_apps_run_while_the_stack_is_down_and_are_served_when_it_is_back(stack: Stack, checkout: Checkout) -> None:
    before = serving(stack, APP)
    stack.compose("stop")
    assert {service: stack.of(service)[0]["State"]["ExitCode"] for service in USERS} == dict.fromkeys(USERS, 0)
    stack.down()
    assert [stack.of(service) for service in USERS] == [[]] * len(USERS)
    app = serving(stack, APP)
    (network,) = app["NetworkSettings"]["Networks"].values()
    asked = subprocess.run(
        ["python3", "-c", CONNECT, network["IPAddress"], "5000"], capture_output=True, text=True, check=True
    )
    assert asked.stdout, "the app answers at its address"
    stack.up()
    wait_for(lambda: greeting(stack), "the app's answer", 60)
    after = serving(stack, APP)
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    push(checkout, "Back")


def test_removing_it_leaves_nothing(stack: Stack, checkout: Checkout) -> None:
    stack.remove()
    for label in (f"pushlog.instance={stack.name}", f"com.docker.compose.project={stack.name}"):
        mine = ("--filter", f"label={label}")
        assert docker("ps", "-aq", *mine) == ""
        assert docker("network", "ls", "-q", *mine) == ""
        assert docker("volume", "ls", "-q", *mine) == ""
        assert docker("images", "-q", *mine) == ""
