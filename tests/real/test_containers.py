"""The deployer's containers on a real Docker."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from deployer import network
from deployer.containers import ContainerRefused, Containers
from deployer.spec import ContainerSpec, network_name
from services import engine
from services.errors import Unavailable
from services.settings import Settings

BASE = "debian:bookworm-slim"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, instance=f"containers-{os.urandom(4).hex()}")


@pytest.fixture
def client(settings: Settings) -> Iterator[docker.DockerClient]:
    """A client of the local Docker; what the test made there is removed at its end."""
    client = engine.connect()
    yield client
    for row in client.api.containers(all=True, filters={"label": f"pushlog.instance={settings.instance}"}):
        client.api.remove_container(row["Id"], force=True)
    if network.existing(client, settings):
        client.api.remove_network(network_name(settings))


@pytest.fixture
def wanted(settings: Settings, client: docker.DockerClient) -> Callable[[str, int], ContainerSpec]:
    """Makes the spec of a container of a name, at the subnet's address of a number."""
    subnet = network.ensure(client, settings)

    def make(name: str, address: int) -> ContainerSpec:
        return ContainerSpec(
            name=f"{settings.instance}.{name}",
            image=BASE,
            command=("/bin/sleep", "1000"),
            environment={"KEY": "secret"},
            labels={"pushlog.instance": settings.instance},
            network=network_name(settings),
            address=subnet.replace("0/20", str(address)),
        )

    return make


def test_a_name_is_had_while_docker_still_removes_the_container_that_has_it(
    settings: Settings, client: docker.DockerClient, wanted: Callable[[str, int], ContainerSpec]
) -> None:
    containers = Containers(client, settings)
    for attempt in range(5):
        spec = wanted("hello.web.1.v2", 20 + attempt)
        left = client.api.create_container(BASE, ["/bin/sleep", "1000"], name=spec.name, labels=spec.labels)["Id"]
        client.api.start(left)
        removal = threading.Thread(target=containers.remove, args=(left,))
        removal.start()
        made = containers.create(spec)
        removal.join()

        assert client.api.inspect_container(made)["Name"] == f"/{spec.name}"
        containers.remove(made)


def test_a_container_is_removed_for_a_later_attempt_at_its_name_and_for_no_earlier_one(
    settings: Settings, client: docker.DockerClient, wanted: Callable[[str, int], ContainerSpec]
) -> None:
    def attempt(number: int, app: str = "one") -> ContainerSpec:
        spec = wanted("hello.web.1", 20 + number)
        mark = {"pushlog.app": app, "pushlog.release": "2", "pushlog.attempt": str(number)}
        return replace(spec, labels={**spec.labels, **mark})

    containers = Containers(client, settings)
    containers.create(attempt(1))
    second = containers.create(attempt(2))
    with pytest.raises(ContainerRefused, match="is a later attempt's"):
        containers.create(attempt(1))
    assert client.api.inspect_container(attempt(2).name)["Id"] == second
    other = containers.create(attempt(1, app="another of that name"))
    assert client.api.inspect_container(attempt(2).name)["Id"] == other


def test_an_address_that_is_still_in_use_is_no_fault_of_the_release(
    settings: Settings, client: docker.DockerClient, wanted: Callable[[str, int], ContainerSpec]
) -> None:
    containers, leaving = Containers(client, settings), wanted("leaving.web.1", 20)
    endpoint = {leaving.network: client.api.create_endpoint_config(ipv4_address=leaving.address)}
    how = {"host_config": client.api.create_host_config(network_mode=leaving.network), "labels": leaving.labels}
    held = client.api.create_container(
        BASE, ["/bin/sleep", "1000"], networking_config={"EndpointsConfig": endpoint}, **how
    )
    client.api.start(held)
    made = containers.create(wanted("hello.web.1", 20))
    with pytest.raises(Unavailable, match="Address already in use"):
        containers.start(made)


def test_what_a_container_is_told_does_not_show_in_messages(wanted: Callable[[str, int], ContainerSpec]) -> None:
    assert "secret" not in repr(wanted("hello.web.1", 20))
