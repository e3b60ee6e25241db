"""Containers that end come back, apps do not disturb or reach each other, and two instances never touch."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, Poller, Runs, docker, wait_for
from tests.e2e.world import address, in_docker, listens, processes, reaches, serving

Checkouts = Callable[..., Checkout]

SHARED_IMAGES = ("pushlog/stack:bookworm", "debian:bookworm-slim")
INSTALLS = {
    **{name: text for name, text in ECHO.items() if name != ".null"},
    "pyproject.toml": '[project]\nname = "needs-nothing"\nversion = "1"\n[build-system]\nrequires = []\n'
    'build-backend = "backend"\nbackend-path = ["."]\n',
    "backend.py": '''
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    """A wheel of nothing."""
    name = "needs_nothing-1-py3-none-any.whl"
    about = {
        "METADATA": "Metadata-Version: 2.1\\nName: needs-nothing\\nVersion: 1\\n",
        "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for file, text in about.items():
            wheel.writestr(f"needs_nothing-1.dist-info/{file}", text)
    return name
''',
}
"""Has an install step, with its network and cache, that needs nothing of any index."""


def test_a_container_that_is_killed_stopped_or_removed_by_hand_comes_back_at_its_address(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    checkout(shared, ECHO).push(app)
    before = shared.head()
    first = serving(shared, app)
    for words in (["kill"], ["stop", "-t", "0"], ["rm", "-f"]):
        there = serving(shared, app)
        docker(*words, there["Id"])
        back = wait_for(lambda old=there: restarted(shared, app, old), f"{app} after {words[0]}")
        assert address(back) == address(first)
        wait_for(lambda: answers(shared, app), f"an answer after {words[0]}")
    assert back["Id"] != first["Id"]
    assert back["Config"]["Env"] == first["Config"]["Env"]
    assert shared.head() == before


def restarted(instance: Instance, app: str, before: dict[str, Any]) -> dict[str, Any] | None:
    """The app's container, if it runs and was started after `before` was."""
    for container in instance.containers_of(app):
        if container["State"]["Running"] and container["State"]["StartedAt"] > before["State"]["StartedAt"]:
            return container
    return None


def answers(instance: Instance, app: str) -> bool:
    """Whether the app answers through nginx."""
    try:
        return instance.get(app).text == "one"
    except OSError:
        return False


@pytest.mark.parametrize(("code", "starts", "least"), [(1, 4, 0.15), (0, 3, 0.9)])
def test_a_process_that_keeps_ending_is_started_ever_more_seldom_and_disturbs_nobody(
    shared: Instance, checkout: Checkouts, app: str, code: int, starts: int, least: float
) -> None:
    other = f"{app}-other"
    checkout(shared, ECHO).push(other)
    source = checkout(
        shared,
        {**ECHO, "Procfile": f"web: python3 app.py\nworker: until test -e /tmp/end; do sleep 0.1; done; exit {code}\n"},
    )
    source.push(app)
    shared.ssh("ps:scale", "--skip-deploy", app, "worker=1")
    shared.ssh("config:set", app, "CODE=1")
    worker = next(c for c in shared.containers_of(app) if c["Config"]["Labels"]["pushlog.process"] == "worker")

    with Poller(shared, other) as visitor:
        docker("exec", worker["Id"], "touch", "/tmp/end")
        times: list[str] = []
        wait_for(lambda: started(worker["Id"], times) >= starts, f"{starts} starts")
    shared.ssh("ps:scale", app, "worker=0")

    seconds = [
        sum(float(part) * unit for part, unit in zip(time[11:-1].split(":"), (3600, 60, 1), strict=True))
        for time in times
    ]
    pauses = [(after - before) % 86400 for before, after in pairwise(seconds[1:])]
    # when it was started is known to within a look at the world; so long may a pause fall short of the one before
    assert all(after > before - 0.5 for before, after in pairwise(pauses))
    assert pauses[-1] >= least
    assert visitor.failures == []
    assert serving(shared, other)["RestartCount"] == 0


def started(container: str, times: list[str]) -> int:
    """How often a container was seen started; `times` collects when."""
    time = docker("inspect", "-f", "{{.State.StartedAt}}", container).strip()
    if time not in times:
        times.append(time)
    return len(times)


@pytest.fixture
def unlike(running: Runs, tmp_path: Path) -> Iterator[Instance]:
    """A running instance with other settings than `shared`."""
    settings = {"DOMAIN": "apps.test", "SUBNET": f"10.231.{os.getpid() % 256}.0/24", "FILE_LIMIT": "10000"}
    with running(tmp_path, f"e2e-{os.getpid()}-unlike", settings) as instance:
        yield instance


def test_two_instances_with_an_app_of_the_same_name_and_unlike_settings_share_nothing_and_a_purge_takes_one_alone(
    shared: Instance, unlike: Instance, checkout: Checkouts, app: str
) -> None:
    here, there = checkout(shared, ECHO), checkout(unlike, INSTALLS)
    there.edit("app.py", '"one"', '"two"')
    there.commit()
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda source: source.push(app), (here, there))
    ours, theirs = serving(shared, app), serving(unlike, app)

    assert f"http://{app}.localhost:{shared.http_port}" in one.stderr
    assert f"http://{app}.apps.test:{unlike.http_port}" in two.stderr
    assert (shared.get(f"{app}.localhost").text, unlike.get(f"{app}.apps.test").text) == ("one", "two")
    for instance, host in ((shared, f"{app}.apps.test"), (unlike, f"{app}.localhost")):
        with pytest.raises(ConnectionError):
            instance.get(host)
    inside = [IPv4Address(address(each)) in IPv4Network(unlike.settings["SUBNET"]) for each in (ours, theirs)]
    assert inside == [False, True]
    for source in (here, there):
        source.write("large", "x" * 20_000)
        source.commit("large")
    assert here.push(app).returncode == 0
    assert 'file: "large" has' in there.push(app, check=False).stderr

    ours = serving(shared, app)
    before = in_docker(shared.name)
    assert all(before[kind].isdisjoint(in_docker(unlike.name)[kind]) for kind in before)
    assert all(in_docker(unlike.name).values())
    assert listens(address(theirs), 5000)
    assert not reaches(ours, address(theirs), 5000)

    unlike.pushlog("ps:scale", app, "web=2")
    by_hand = docker("run", "-d", "--network", "none", theirs["Image"], "sleep", "600").strip()
    (unlike.home / "pushlog.toml").write_text("# an operator's own\n")
    base = docker("image", "inspect", "-f", "{{.Id}}", *SHARED_IMAGES)
    with Poller(shared, app) as visitor:
        unlike.purge()

    assert in_docker(unlike.name) == {"containers": set(), "networks": set(), "volumes": set(), "images": set()}
    assert by_hand not in docker("ps", "-aq", "--no-trunc")
    assert processes(unlike.home) == {}
    assert [path.name for path in unlike.home.iterdir()] == ["pushlog.toml"]
    assert docker("image", "inspect", "-f", "{{.Id}}", *SHARED_IMAGES) == base
    assert visitor.failures == []
    assert in_docker(shared.name) == before
    again = json.loads(docker("inspect", ours["Id"]))[0]
    assert again["State"]["StartedAt"] == ours["State"]["StartedAt"]
