"""The builds' network on a real Docker."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import docker
import pytest

from builder import containers
from services import engine

BASE = "debian:bookworm-slim"
AT_ONCE = 8


@pytest.fixture
def client() -> docker.DockerClient:
    return engine.connect()


@pytest.fixture
def name(client: docker.DockerClient) -> Iterator[str]:
    name = f"network-{os.urandom(4).hex()}"
    yield name
    for row in client.api.networks(names=[name]):
        client.api.remove_network(row["Id"])


def test_builds_that_make_their_network_at_once_have_one_that_containers_can_use(client, name):
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda _: containers.network(engine.connect(), name, {}), range(AT_ONCE)))
    client.containers.run(BASE, ["/bin/true"], network_mode=name, remove=True)


def test_of_networks_that_two_processes_made_at_once_one_is_left(client, name):
    for _ in range(2):
        client.api.create_network(name, driver="bridge", check_duplicate=False)
    containers.network(client, name, {})
    client.containers.run(BASE, ["/bin/true"], network_mode=name, remove=True)
