"""What `pushlog status` and /healthz tell of a real instance, also while parts of it are dead, away or hang."""

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from services.runner import SERVICES
from tests.e2e.apps import ECHO
from tests.e2e.cluster import Cluster
from tests.e2e.harness import Checkout, Instance, Runs, free_port, passable, wait_for
from tests.postgres import Server
from tests.rabbitmq import Broker

Checkouts = Callable[..., Checkout]

pytestmark = pytest.mark.timeout(600)  # several processes, and a broker and a database that start twice
in_a_cluster = pytest.mark.only("cluster", "it is about processes of single services")


def status(instance: Instance) -> dict[str, Any]:
    """The status as JSON; its exit code says the same."""
    done = instance.pushlog("status", "--format", "json", check=False)
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if told["well"] else 1)
    return told


def processes(instance: Instance, service: str) -> dict[int, str]:
    """The state of each process of a service by its id."""
    (found,) = (each for each in status(instance)["services"] if each["name"] == service)
    return {process["pid"]: process["state"] for process in found["processes"]}


def healthz(port: int, method: str = "GET") -> tuple[int, dict[str, Any]]:
    """What a process answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, "/healthz")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_of_a_running_instance_all_is_well(shared: Instance, checkout: Checkouts, app: str) -> None:
    checkout(shared, ECHO).push(app)
    told = wait_for(lambda: (now := status(shared))["well"] and now, "that all is well", 60)
    assert [service["name"] for service in told["services"]] == list(SERVICES)
    assert {p["state"] for service in told["services"] for p in service["processes"]} == {"running"}
    assert told["database"]["position"] >= len(shared.types(app))
    assert all(told[part]["well"] for part in ("ssh", "http", "nginx", "docker", "broker", "database", "disk"))
    text = shared.pushlog("status").stdout
    assert "docker:     version " in text
    assert " !" not in text


def test_a_process_answers_healthz_whatever_it_is_sent(running: Runs, mode: str, tmp_path: Path) -> None:
    port = free_port()
    if mode == "cluster":
        with running(tmp_path, f"e2e-{os.getpid()}-health", {}) as instance:
            assert isinstance(instance, Cluster)
            instance.settings = {**instance.settings, "HEALTH_PORT": str(port)}
            instance.begin("builder").wait_until_ready()
            ask_healthz(port, ["builder"])
    else:
        with running(tmp_path, f"e2e-{os.getpid()}-health", {"HEALTH_PORT": str(port)}) as instance:
            ask_healthz(port, list(SERVICES))


def ask_healthz(port: int, services: list[str]) -> None:
    """See that it is well, after rude questions."""
    rude = [b"\r\n\r\n", b"GET /" + b"x" * 100_000, b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 1000, b"\0" * 5000]
    for words in [*rude, b"POST /healthz HTTP/1.0\r\nContent-Length: 9\r\n\r\n", b"GET /log.sqlite HTTP/1.0\r\n\r\n"]:
        ask_rudely(port, words)
    assert healthz(port, "POST") == (501, {"error": "allowed is GET /healthz"})
    wait_for(lambda: healthz(port)[1]["lag"] == 0, "that it keeps up")
    code, report = healthz(port)
    assert (code, report["status"], report["reasons"], report["services"]) == (200, "well", [], services)


def ask_rudely(port: int, words: bytes) -> None:
    """Send what is no good request; it is refused, or the connection is closed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    try:
        connection.sock.sendall(words)
        with suppress(OSError):  # it may have been reset by now
            connection.sock.shutdown(1)
        assert b" 200 " not in connection.sock.recv(100)
    except ConnectionError:
        pass
    finally:
        connection.close()


@pytest.fixture
def second(mortal: Cluster) -> Iterator[int]:
    """The process of a second builder."""
    service = mortal.begin("builder")
    service.wait_until_ready()
    yield service.pid
    service.signal(signal.SIGKILL)
    service.wait()
    mortal.services.remove(service)


@in_a_cluster
def test_a_killed_process_is_silent_and_amiss_only_if_no_other_runs_the_service(mortal: Cluster, second: int) -> None:
    first = next(service for service in mortal.services if service.name == "builder")
    wait_for(lambda: processes(mortal, "builder").get(second) == "running", "the second builder", 60)
    os.kill(second, signal.SIGKILL)
    wait_for(lambda: processes(mortal, "builder").get(second) == "silent", "its silence", 60)
    wait_for(lambda: status(mortal)["well"], "the others' next word of themselves", 60)

    first.signal(signal.SIGKILL)
    first.wait()
    wait_for(lambda: processes(mortal, "builder").get(first.pid) == "silent", "silence", 60)
    told = status(mortal)
    assert [service["name"] for service in told["services"] if not service["well"]] == ["builder"]
    assert "builder:      ! silent for " in mortal.pushlog("status", check=False).stdout


@in_a_cluster
def test_a_process_that_ends_in_order_leaves(mortal: Cluster, second: int) -> None:
    wait_for(lambda: second in processes(mortal, "builder"), "the second builder", 60)
    os.kill(second, signal.SIGTERM)
    wait_for(lambda: second not in processes(mortal, "builder"), "its leave", 60)
    wait_for(lambda: status(mortal)["well"], "the others' next word of themselves", 60)


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[tuple[Cluster, Broker, Server]]:
    """A cluster with a broker and a database of its own, which may be stopped."""
    passable(tmp_path)
    (tmp_path / "rabbitmq").mkdir()
    broker, server = Broker(tmp_path / "rabbitmq"), Server()
    database = server.create_database()
    broker.start()
    urls = {
        "LOG_URL": database.url,
        "LOG_OWNER_URL": database.owner_url,
        "BROKER_URL": f"amqp://admin:{broker.admin_password}@127.0.0.1:{broker.port}//",
    }
    cluster = Cluster(tmp_path / "home", f"e2e-{os.getpid()}-status", urls=urls)
    try:
        cluster.start()
        yield cluster, broker, server
    finally:
        cluster.purge()
        broker.close()
        server.remove()


def brokers(told: dict[str, Any]) -> set[str]:
    """What the processes say of the broker."""
    return {process["broker"] for service in told["services"] for process in service["processes"]}


@in_a_cluster
def test_a_broker_or_database_that_is_away_is_told_in_time(lonely: tuple[Cluster, Broker, Server]) -> None:
    cluster, broker, server = lonely
    wait_for(lambda: status(cluster)["well"], "that all is well", 60)

    broker.kill()
    wait_for(lambda: brokers(status(cluster)) == {"not heard"}, "that nobody hears the broker", 60)
    told = status(cluster)
    assert (told["broker"]["well"], told["database"]["well"]) == (False, True)
    broker.start()
    wait_for(lambda: status(cluster)["well"], "that all is well again", 60)

    server.pause()
    try:
        told = status(cluster)
        assert (told["broker"]["well"], told["database"]["well"], told["docker"]["well"]) == (True, False, True)
    finally:
        server.resume()
    wait_for(lambda: status(cluster)["well"], "that all is well again", 60)
