"""The deployer's containers on a real Docker."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from deployer import network
from deployer.containers import Containers, connect
from deployer.spec import ContainerSpec, network_name
from services.settings import Settings

BASE = "debian:bookworm-slim"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, instance=f"containers-{os.urandom(4).hex()}")


@pytest.fixture
def client(settings: Settings) -> Iterator[docker.DockerClient]:
    """A client of the local Docker; what the test made there is removed at its end."""
    client = connect()
    yield client
    for row in client.api.containers(all=True, filters={"label": f"pushlog.instance={settings.instance}"}):
        client.api.remove_container(row["Id"], force=True)
    if network.existing(client, settings):
        client.api.remove_network(network_name(settings))


def test_a_name_is_had_while_docker_still_removes_the_container_that_has_it(
    settings: Settings, client: docker.DockerClient
) -> None:
    subnet = network.ensure(client, settings)
    containers = Containers(client, settings)
    name = f"{settings.instance}.hello.web.1.v2"

    def wanted(attempt: int) -> ContainerSpec:
        return ContainerSpec(
            name=name,
            image=BASE,
            command=("/bin/sleep", "1000"),
            environment={},
            labels={"pushlog.instance": settings.instance},
            network=network_name(settings),
            address=subnet.replace("0/20", str(20 + attempt)),
        )

    for attempt in range(5):
        left = client.api.create_container(BASE, ["/bin/sleep", "1000"], name=name, labels=wanted(0).labels)["Id"]
        client.api.start(left)
        removal = threading.Thread(target=containers.remove, args=(left,))
        removal.start()
        made = containers.create(wanted(attempt))
        removal.join()

        assert client.api.inspect_container(made)["Name"] == f"/{name}"
        containers.remove(made)
