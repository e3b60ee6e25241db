"""Many at once: twenty first pushes, visitors of several apps, and what an app can reach of the others."""

import http.client
import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.e2e.apps import ECHO
from tests.e2e.harness import Answer, Checkout, Instance, docker, wait_for
from tests.e2e.world import address, listens, reaches, serving

Checkouts = Callable[..., Checkout]

TWENTY = 20
LISTENS = "import socket; s = socket.create_server(('', 5432)); [s.accept() for _ in iter(int, 1)]"


class Crowd:
    """Visitors who each ask for all apps in turn over one connection, and note the answers. A context manager.

    nginx closes the connection for a host that it does not know; then a fresh one is made.
    """

    def __init__(self, instance: Instance, apps: Sequence[str], visitors: int = 4) -> None:
        self._instance, self._apps = instance, apps
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(visitors)]
        self.answers: dict[str, set[Answer]] = defaultdict(set)

    def _visit(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._instance.http_port, timeout=10)
        while not self._over.wait(0.01):
            for app in self._apps:
                try:
                    connection.request("GET", "/", headers={"Host": self._instance.host(app)})
                    answer = connection.getresponse()
                    self.answers[app].add(Answer(answer.status, answer.read().decode(errors="replace")))
                except (http.client.HTTPException, OSError):
                    connection.close()
        connection.close()

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def named(app: str) -> dict[str, str]:
    """The files of an app that answers with its name."""
    return {**ECHO, "app.py": ECHO["app.py"].replace('"one"', f'"{app}"')}


def test_twenty_apps_pushed_at_once_all_serve_and_none_answers_for_another(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    apps = [f"{app}-{number}" for number in range(TWENTY)]
    sources = [checkout(shared, named(each)) for each in apps]

    with Crowd(shared, apps) as crowd, ThreadPoolExecutor(TWENTY) as pool:
        pushed = list(pool.map(lambda source, each: source.push(each, check=False), sources, apps))
        assert [done.stderr for done in pushed if done.returncode] == []
        wait_for(lambda: len(crowd.answers) == TWENTY, "an answer of each app")

    assert crowd.answers == {each: {Answer(200, each)} for each in apps}
    assert {each: shared.get(each).text for each in apps} == {each: each for each in apps}
    assert len({address(serving(shared, each)) for each in apps}) == TWENTY
    for each, source in zip(apps, sources, strict=True):
        moved = [event["data"]["new"] for event in shared.events(each) if event["type"] == "ref.moved"]
        assert moved == [source.git("rev-parse", "HEAD").stdout.strip()]


def test_apps_get_their_own_requests_alone_under_load_and_while_they_are_deployed_anew(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    apps = [f"{app}-{letter}" for letter in "ab"]
    for each in apps:
        checkout(shared, named(each)).push(each)

    with Crowd(shared, apps) as crowd, ThreadPoolExecutor(8) as pool:
        changes = [pool.submit(shared.ssh, "config:set", each, "COLOR=blue") for each in apps]
        asked = [(each, f"{each}.{number}") for number in range(100) for each in apps]
        assert {answer.status for answer in pool.map(lambda ask: shared.get(ask[0], f"/say/{ask[1]}"), asked)} == {200}
        assert [change.result().returncode for change in changes] == [0, 0]

    assert crowd.answers == {each: {Answer(200, each)} for each in apps}
    for each in apps:
        own = sorted(word for host, word in asked if host == each)
        wait_for(lambda each=each, own=own: said(shared, each) == own, f"the requests of {each}")


def said(instance: Instance, app: str) -> list[str]:
    """What an app printed, sorted."""
    lines = instance.ssh("logs", app, "-n", "1000", "--format", "json").stdout.splitlines()
    return sorted(json.loads(line)["text"] for line in lines)


def test_an_app_reaches_no_other_app_and_no_part_of_the_platform_though_the_host_reaches_all(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    apps = [f"{app}-{letter}" for letter in "ab"]
    for each in apps:
        checkout(shared, named(each)).push(each)
    ours, theirs = (serving(shared, each) for each in apps)
    (network,) = ours["NetworkSettings"]["Networks"].values()

    with on_another_network() as database, socket.create_server(("127.0.0.1", 0)) as broker:
        parts = [broker.getsockname()[1], *shared.private_ports]
        for host, port in [
            (address(theirs), 5000),
            (address(database), 5432),
            *(("127.0.0.1", port) for port in parts),
        ]:
            wait_for(lambda place=(host, port): listens(*place), f"{host}:{port}")
            assert not reaches(ours, host, port)
        assert [port for port in parts if reaches(ours, network["Gateway"], port)] == []
    assert reaches(ours, "127.0.0.1", 5000)


@contextmanager
def on_another_network() -> Iterator[dict[str, Any]]:
    """A container that listens on port 5432 of another Docker network than the apps', as a database of compose does."""
    made = docker("run", "-d", "pushlog/stack:bookworm", "python3", "-c", LISTENS).strip()
    try:
        yield json.loads(docker("inspect", made))[0]
    finally:
        docker("rm", "-f", made)
