"""The broker and the database of a cluster are killed, restarted, emptied, cut off and away; messages are mangled."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.cluster import Cluster, Service
from tests.e2e.harness import Checkout, Poller, wait_for
from tests.e2e.world import StoredLog, serving
from tests.faults import state
from tests.faults.matrix import Cell, cell
from tests.postgres import Server
from tests.rabbitmq import Broker

AWAY = 60.0
TERMINAL = 60.0


pytestmark = pytest.mark.timeout(600)  # of a busy machine


@contextmanager
def pushing(cluster: Cluster, site: Checkout, fault: str, point: str) -> Iterator[Cell]:
    """A push is under way, and a visitor there, while the block makes a fault happen; then all is as if there was none.

    The push succeeds within TERMINAL seconds of the block's end, and no visit failed.
    """
    log, old = StoredLog(cluster), cluster.get("site").text
    new = f"text {os.urandom(4).hex()}"
    site.write("app.py", ECHO["app.py"].replace('"one"', f'"{new}"'))
    site.commit(new)
    head = log.head()
    with cell(fault, point) as seen, Poller(cluster, "site") as visitor:
        with cluster.running(["git", "push", cluster.url("site"), "main"], site.path) as push:
            log.wait_for("push.received", head)
            yield seen
            healed = time.monotonic()
            assert push.wait() == 0, push.lines
            story = log.wait_for_end(head)
        seconds = time.monotonic() - healed
        assert ("ref.moved" in story, seconds < TERMINAL) == (True, True)
        assert (cluster.get("site").text, visitor.failures) == (new, [])
        assert {answer.text for answer in visitor.answers} <= {old, new}
        serving(cluster, "site")
        seen.seen += f"the push served {seconds:.1f} s later, {len(visitor.answers)} visits well"


def test_the_broker_is_killed_and_comes_back(cluster: Cluster, site: Checkout, broker: Broker) -> None:
    with pushing(cluster, site, "broker", "SIGKILL and start"):
        broker.kill()
        broker.start()


def test_the_broker_is_restarted(cluster: Cluster, site: Checkout, broker: Broker) -> None:
    with pushing(cluster, site, "broker", "stop and start"):
        broker.stop()
        broker.start()


def test_the_brokers_queues_are_emptied_all_the_time(cluster: Cluster, site: Checkout, broker: Broker) -> None:
    over = threading.Event()

    def empty() -> None:
        while not over.wait(0.02):
            broker.purge(cluster.urls["BROKER_URL"])

    thread, log = threading.Thread(target=empty), StoredLog(cluster)
    head = log.head()
    with pushing(cluster, site, "broker", "queues purged all the time"):
        thread.start()
        log.wait_for("route.published", head, TERMINAL)
        over.set()
        thread.join()


def test_the_broker_is_away_for_a_minute(cluster: Cluster, site: Checkout, broker: Broker) -> None:
    with cell("broker", f"away for {AWAY:.0f} s") as seen, Poller(cluster, "site") as visitor:
        broker.stop()
        gone = time.monotonic()
        asked = cluster.ssh("apps:list", check=False)
        waited = time.monotonic() - gone
        assert (asked.returncode, asked.stdout, len(asked.stderr.splitlines())) == (1, "", 1)
        status = cluster.pushlog("status", check=False)
        assert status.returncode == 1
        [line] = [line for line in status.stdout.splitlines() if "broker:" in line]
        assert "!" in line
        wait_for(lambda: time.monotonic() - gone > AWAY, "the minute's end", 2 * AWAY)
        broker.start()
        healed = time.monotonic()
        wait_for(lambda: cluster.ssh("apps:list", check=False).returncode == 0, "an answer", TERMINAL)
        assert visitor.failures == []
        back = time.monotonic() - healed
        seen.seen = f"a command said so after {waited:.1f} s; {back:.1f} s after its return one was answered"


def test_the_broker_stands_still(cluster: Cluster, site: Checkout, broker: Broker) -> None:
    with pushing(cluster, site, "broker", "SIGSTOP, SIGCONT"):
        broker.pause()
        said = cluster.ssh("apps:list", check=False)
        assert (said.returncode, len(said.stderr.splitlines())) == (1, 1)
        broker.resume()


def test_the_database_is_killed_and_comes_back(cluster: Cluster, site: Checkout, server: Server) -> None:
    with pushing(cluster, site, "database", "SIGKILL and start"):
        server.kill()
        server.start()


def test_the_database_is_restarted(cluster: Cluster, site: Checkout, server: Server) -> None:
    with pushing(cluster, site, "database", "stop and start"):
        server.restart()


def test_every_session_of_the_database_is_cut_off_again_and_again(
    cluster: Cluster, site: Checkout, server: Server
) -> None:
    name = cluster.urls["LOG_URL"].rpartition("/")[2]
    cut = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608
    with pushing(cluster, site, "database", "pg_terminate_backend 20 times") as seen:
        ended = sum(_after(0.1, lambda: int(server.execute(cut)[0][0])) for _ in range(20))
        seen.seen = f"{ended} sessions cut off; "


def test_the_database_stands_still(cluster: Cluster, site: Checkout, server: Server) -> None:
    with pushing(cluster, site, "database", "SIGSTOP, SIGCONT"):
        server.pause()
        began = time.monotonic()
        said = cluster.ssh("apps:list", check=False)
        assert (said.returncode, len(said.stderr.splitlines())) == (1, 1), said.stderr
        assert time.monotonic() - began < 2 * TERMINAL
        server.resume()


def _after(seconds: float, act: Callable[[], int]) -> int:
    threading.Event().wait(seconds)
    return act()


class Mangled(Service):
    """A process of a service whose bells are doubled, reordered or lost."""

    def __init__(self, cluster: Cluster, name: str, seed: int) -> None:
        self.program = ("tests.faults.mangled", name, str(seed))
        super().__init__(cluster, name)


def test_bells_that_are_doubled_reordered_and_lost_change_no_state(cluster: Cluster, tmp_path: Path) -> None:
    with cell("messages", "doubled, reordered, 5 % lost") as seen:
        plain = told(cluster, Checkout.of(ECHO, tmp_path / "plain", cluster), "plain")
        cluster.down()
        for number, name in enumerate(("configsvc", "builder", "deployer", "router", "gitreceiver")):
            cluster.services.append(Mangled(cluster, name, number))
        for service in cluster.services:
            service.wait_until_ready()
        mangled = told(cluster, Checkout.of(ECHO, tmp_path / "mangled", cluster), "mangled")
        cluster.down()
        cluster.up()
        assert mangled == plain
        seen.seen = f"the same state, {hashlib.sha256(plain.encode()).hexdigest()[:12]}"


def told(cluster: Cluster, checkout: Checkout, app: str) -> str:
    """What the services know of an app after pushes and changes, all of which ended."""
    log = StoredLog(cluster)
    checkout.push(app)
    cluster.ssh("config:set", app, "COLOUR=red", "SHAPE=round")
    cluster.ssh("ps:scale", app, "web=2", "worker=1")
    cluster.ssh("domains:add", app, f"www.{app}.example")
    cluster.ssh("config:unset", app, "SHAPE")
    checkout.write("app.py", ECHO["app.py"].replace('"one"', '"two"'))
    checkout.commit("two")
    head = log.head()
    checkout.push(app)
    log.wait_for_end(head)
    cluster.ssh("ps:scale", app, "web=1", "worker=0")
    wait_for(lambda: serving(cluster, app), "the end of the last change")
    wait_for(lambda: cluster.types(app)[-1] == "release.retired", "the last event")
    return state.of_app(cluster.events(), app)
