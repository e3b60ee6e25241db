"""One process per service: they start in any order, stand by for one another, and share the work."""

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from services.runner import SERVICES
from tests.e2e.apps import ECHO, SLOW
from tests.e2e.cluster import Cluster
from tests.e2e.harness import Checkout, Poller, docker, passable, wait_for
from tests.e2e.world import StoredLog
from tests.postgres import Server
from tests.rabbitmq import Broker

Checkouts = Callable[..., Checkout]

pytestmark = pytest.mark.only("cluster", "it is about processes of single services")

SLEEP = 8
SLEEPY = {**SLOW, "slow/backend.py": SLOW["slow/backend.py"].replace("time.sleep(2)", f"time.sleep({SLEEP})")}


def test_services_wait_for_the_broker_and_the_database_and_one_that_starts_late_catches_up(
    checkout: Checkouts, app: str, tmp_path: Path
) -> None:
    passable(tmp_path)
    (tmp_path / "rabbitmq").mkdir()
    broker, server = Broker(tmp_path / "rabbitmq"), Server()
    with ExitStack() as stack:
        stack.callback(server.remove)
        stack.callback(broker.close)
        database = server.create_database()
        urls = {
            "LOG_URL": database.url,
            "LOG_OWNER_URL": database.owner_url,
            "BROKER_URL": f"amqp://admin:{broker.admin_password}@127.0.0.1:{broker.port}//",
        }
        cluster = Cluster(tmp_path / "home", f"e2e-{os.getpid()}-order", urls=urls)
        cluster.pushlog("prepare")
        server.stop()
        stack.callback(cluster.purge)
        early = [cluster.begin(name) for name in SERVICES if name != "builder"]
        for service in early:
            wait_for(lambda service=service: "waiting: " in service.words, f"{service.name}'s words")
        server.start()
        wait_for(lambda: waits_for_the_broker(cluster), "that status says what they wait for", 60)
        broker.start()
        for service in early:
            service.wait_until_ready()
        cluster.let_in()

        source = checkout(cluster, ECHO)
        with cluster.running(["git", "push", cluster.url(app), "main"], source.path) as push:
            StoredLog(cluster).wait_for("push.received", 0)
            cluster.begin("builder")
            assert push.wait() == 0, push.lines
        assert cluster.get(app).text == "one"


def waits_for_the_broker(cluster: Cluster) -> bool:
    """Whether a process tells that it has not started yet, and why."""
    told = json.loads(cluster.pushlog("status", "--format", "json", check=False).stdout)
    reasons = [
        reason for service in told["services"] for process in service["processes"] for reason in process["reasons"]
    ]
    return any("it has not started yet: the broker does not answer" in reason for reason in reasons)


def test_a_second_door_and_a_second_router_stand_by_and_take_over(
    mortal: Cluster, checkout: Checkouts, app: str
) -> None:
    source = checkout(mortal, ECHO)
    source.push(app)
    first = [service for service in mortal.services if service.name in ("gitreceiver", "router")]
    second = [mortal.begin(service.name) for service in first]
    wait_for(lambda: [states(mortal).get(service.pid) for service in second] == ["standby"] * 2, "two who stand by")
    assert not [service for service in second if "ready" in service.words]

    with Poller(mortal, app) as visitor:
        for service in first:
            service.signal(signal.SIGKILL)
        for service in second:
            service.wait_until_ready()
        source.edit("app.py", "one", "two")
        commit = source.commit()
        source.push(app)
        assert mortal.get(app).text == "two"
    assert visitor.failures == []
    assert source.remote_ref(app) == commit


def test_a_door_and_a_router_that_stood_still_too_long_end_when_they_go_on_and_those_that_stood_by_serve(
    mortal: Cluster, checkout: Checkouts, app: str
) -> None:
    source = checkout(mortal, ECHO)
    source.push(app)
    first = [service for service in mortal.services if service.name in ("gitreceiver", "router") and not service.ended]
    second = {service.name: mortal.begin(service.name) for service in first}
    wait_for(
        lambda: {states(mortal).get(service.pid) for service in second.values()} == {"standby"}, "two who stand by"
    )

    with Poller(mortal, app) as visitor:
        for service in first:
            service.signal(signal.SIGSTOP)
        try:
            second["router"].wait_until_ready()
            taken = f"waiting: PUSHLOG_SSH_PORT: {mortal.ssh_port} cannot be listened on: Address already in use"
            wait_for(lambda: taken in second["gitreceiver"].words, "the new door's wait for its port")
            assert not second["gitreceiver"].ended
        finally:
            for service in first:
                service.signal(signal.SIGCONT)
        assert [service.wait() for service in first] == [1, 1]
        for service in first:
            assert f"another process took over as {service.name}; this one ends" in service.words
        second["gitreceiver"].wait_until_ready()
        source.edit("app.py", "one", "two")
        commit = source.commit()
        source.push(app)
        assert mortal.get(app).text == "two"
    assert visitor.failures == []
    assert source.remote_ref(app) == commit


def test_what_came_up_and_is_gone_before_a_router_is_there_comes_up_again_and_is_routed(
    mortal: Cluster, checkout: Checkouts, app: str
) -> None:
    source = checkout(mortal, ECHO)
    source.push(app)
    mortal.end(signal.SIGTERM, ["router"])
    source.edit("app.py", "one", "two")
    source.commit()
    with mortal.running(["git", "push", mortal.url(app), "main"], source.path) as push:
        wait_for(lambda: mortal.types(app).count("deploy.succeeded") == 2, "the second deploy")
        there = {container["Id"] for container in mortal.containers_of(app)}
        docker("rm", "-f", *there)
        mortal.up()
        assert push.wait() == 0, push.lines
    assert mortal.get(app).text == "two"
    assert there.isdisjoint({container["Id"] for container in mortal.containers_of(app)})


def states(cluster: Cluster) -> dict[int, str]:
    """What each process of a cluster said last of itself, by its id."""
    told = json.loads(cluster.pushlog("status", "--format", "json", check=False).stdout)
    return {process["pid"]: process["state"] for service in told["services"] for process in service["processes"]}


def test_two_builders_share_the_work_and_never_both_do_one_item(mortal: Cluster, checkout: Checkouts, app: str) -> None:
    one = build_side_by_side(mortal, checkout, [f"{app}-one-{number}" for number in range(2)])
    assert one[0][1] <= one[1][0], "one at a time"

    second = mortal.begin("builder")
    second.wait_until_ready()
    try:
        two = build_side_by_side(mortal, checkout, [f"{app}-two-{number}" for number in range(2)])
    finally:
        second.signal(signal.SIGTERM)
    assert second.wait() == 0
    assert seconds(two) <= 0.6 * seconds(one)


Build = tuple[datetime, datetime]


def build_side_by_side(cluster: Cluster, checkout: Checkouts, apps: list[str]) -> list[Build]:
    """Push to all apps at once; when each build began and ended, in order."""
    log, sources = StoredLog(cluster), [checkout(cluster, SLEEPY) for _ in apps]
    before = log.head()
    with ThreadPoolExecutor(len(apps)) as pool:
        list(pool.map(lambda source, app: source.push(app), sources, apps))
    times: dict[str, list[datetime]] = {}
    for row in log.rows(before):
        if row.type.startswith("build."):
            times.setdefault(row.correlation, []).append(datetime.fromisoformat(row.time))
    assert [len(story) for story in times.values()] == [2] * len(apps), "each was begun and finished once"
    return sorted((start, end) for start, end in times.values())


def seconds(builds: list[Build]) -> float:
    """How long builds took together."""
    return (max(end for _, end in builds) - min(start for start, _ in builds)).total_seconds()
