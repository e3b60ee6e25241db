"""`git push` to a running, routed app: what a user sees, and what their visitors do."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, Poller, docker, wait_for

LISTENING = "0A"

Checkouts = Callable[..., Checkout]


@pytest.mark.parametrize(
    ("example", "answer", "pack"),
    [
        ("hello-python", "Hello from Python\n", "Python"),
        ("hello-flask", "Hello from Flask\n", "Python"),
        ("hello-null", "<h1>Hello from the stack alone</h1>", "Null"),
    ],
)
def test_each_example_is_pushed_and_answers_through_nginx(
    shared: Instance, checkout: Checkouts, app: str, example: str, answer: str, pack: str
) -> None:
    pushed = checkout(shared, example).push(app)

    said = remote_lines(pushed.stderr)
    steps = [
        f"-----> Creating {app}",
        f"-----> Building {app}",
        f"-----> {pack} app detected",
        "-----> Discovering process types",
        "       Procfile declares types: web",
        f"-----> Releasing {app}",
        "       v1",
        f"-----> Deploying {app} (v1)",
        "=====> Application deployed:",
        f"       http://{app}.localhost:{shared.http_port}",
    ]
    assert [line for line in said if line in steps] == steps
    assert said[-1] == steps[-1]
    got = shared.get(app)
    assert got.status == 200
    assert answer in got.text


def test_what_runs_carries_the_labels_of_its_instance_app_process_and_release(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.commit()
    source.push(app)

    (made,) = wait_for(lambda: one(shared.containers_of(app)), "the old container's end")
    labels = made["Config"]["Labels"]
    uuid = shared.events(app)[0]["data"]["app"]
    assert labels["pushlog.instance"] == shared.name
    assert labels["pushlog.app"] == uuid
    assert labels["pushlog.process"] == "web"
    assert labels["pushlog.release"] == "2"
    assert made["Name"] == f"/{shared.name}.{app}.web.1"


def test_an_app_knows_its_port_its_process_and_its_commit(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)

    assert shared.get(app, "/PORT").text == "5000"
    assert shared.get(app, "/DYNO").text == "web.1"
    assert shared.get(app, "/GIT_REV").text == source.git("rev-parse", "main").stdout.strip()


def test_only_the_router_and_the_door_are_bound_on_other_than_loopback(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    checkout(shared, ECHO).push(app)

    router = int((shared.home / "nginx" / "nginx.pid").read_text())
    assert open_ports([member for pid in (*shared.pids, router) for member in family(pid)]) == {
        shared.ssh_port,
        shared.http_port,
    }
    assert all(not made["HostConfig"]["PortBindings"] for made in shared.containers())


def test_a_changed_line_is_switched_to_without_one_failed_request(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared)
    source.push(app)
    source.edit("app.py", "Hello from Python", "Hello again")
    changed = source.commit()

    with Poller(shared, app) as visitor:
        source.push(app)
        pushed = len(visitor.answers)
        wait_for(lambda: shared.types(app)[-1] == "release.retired", "the old release's end")

    assert not visitor.failures
    assert visitor.phases() == ["Hello from Python\n", "Hello again\n"]
    assert {answer.text for answer in visitor.answers[pushed + 1 :]} == {"Hello again\n"}
    assert source.remote_ref(app) == changed


def test_unchanged_requirements_are_not_installed_again(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, "hello-flask")
    assert "Installing dependencies with uv" in source.push(app).stderr
    source.edit("app.py", "Hello from Flask", "Hello again")
    source.commit()

    with Poller(shared, app) as visitor:
        again = source.push(app)

    assert "Using cached dependencies" in again.stderr
    assert "Installing" not in again.stderr
    assert not visitor.failures
    assert shared.get(app).text == "Hello again\n"


def test_changed_requirements_are_installed(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared)
    source.push(app)
    source.write("requirements.txt", "six\n")
    source.edit("app.py", "import os\n", "import os\nimport six\n")
    source.edit("app.py", 'GREETING = "Hello from Python"', "GREETING = six.__name__")
    source.commit()

    assert "+ six==" in source.push(app).stderr
    assert shared.get(app).text == "six\n"


def test_requests_under_way_are_finished_by_the_old_release(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared)
    source.edit("app.py", "import os\n", "import os\nimport time\n")
    source.edit("app.py", '        body = f"', '        time.sleep(self.path == "/slow" and 2)\n        body = f"')
    source.commit()
    source.push(app)
    source.edit("app.py", "Hello from Python", "Hello again")
    source.commit()

    with Poller(shared, app, "/slow") as slow:
        source.push(app)
        began_before_the_switch = slow.answers[:1]
        wait_for(lambda: shared.types(app)[-1] == "release.retired", "the old release's end")

    assert not slow.failures
    assert [answer.text for answer in began_before_the_switch] == ["Hello from Python\n"]
    assert slow.phases() == ["Hello from Python\n", "Hello again\n"]


def test_an_app_without_a_web_process_is_deployed_and_not_routed(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, {".null": "", "Procfile": "worker: while true; do echo at work; sleep 1; done\n"})

    said = remote_lines(source.push(app).stderr)
    assert said[-1] == "=====> Application deployed; it has no web process"
    assert not shared.containers_of(app)

    shared.ssh("ps:scale", app, "worker=1")
    assert [made["Config"]["Labels"]["pushlog.process"] for made in shared.containers_of(app)] == ["worker"]
    wait_for(lambda: "app[worker.1]: at work" in shared.ssh("logs", app).stdout, "the worker's words")
    with pytest.raises(ConnectionError):
        shared.get(app)


def test_a_host_that_no_app_has_gets_no_answer(shared: Instance, checkout: Checkouts, app: str) -> None:
    checkout(shared, ECHO).push(app)

    for host in ("nobody.localhost", f"www.{app}.localhost", "example.com", "127.0.0.1"):
        with pytest.raises(ConnectionError):
            shared.get(host)


def test_the_build_leaves_no_container(shared: Instance, checkout: Checkouts, app: str) -> None:
    checkout(shared).push(app)

    instance = f"label=pushlog.instance={shared.name}"
    assert docker("ps", "-aq", "--filter", instance, "--filter", "label=pushlog.process=build") == ""


def remote_lines(stderr: str) -> list[str]:
    """What the server said: git pads each line."""
    return [line.removeprefix("remote: ").rstrip() for line in stderr.splitlines() if line.startswith("remote: ")]


def one(found: list[dict[str, object]]) -> list[dict[str, object]]:
    """`found` once it is one."""
    return found if len(found) == 1 else []


def family(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from family(int(child))


def open_ports(pids: list[int]) -> set[int]:
    """The ports that these processes listen on, at other addresses than loopback's."""
    sockets = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            sockets.add(os.readlink(descriptor))
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            address, _, port = words[1].partition(":")
            loopback = address.endswith("7F") or address == f"{'0' * 24}01000000"
            if words[3] == LISTENING and f"socket:[{words[9]}]" in sockets and not loopback:
                ports.add(int(port, 16))
    return ports
