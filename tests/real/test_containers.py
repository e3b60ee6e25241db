"""The deployer's containers on a real Docker."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from deployer import network
from deployer.containers import ContainerRefused, Containers
from deployer.spec import ContainerSpec, network_name
from services import engine, oom
from services.errors import Unavailable
from services.settings import Settings
from tests.e2e.harness import wait_for

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


def test_a_container_of_somebody_else_is_not_removed_for_its_name(
    settings: Settings, client: docker.DockerClient, wanted: Callable[[str, int], ContainerSpec]
) -> None:
    spec = wanted("hello.web.1", 20)
    labels = {"pushlog.instance": f"{settings.instance}.hello", "pushlog.app": "one"}
    other = client.api.create_container(BASE, ["/bin/sleep", "1000"], name=spec.name, labels=labels)["Id"]
    try:
        with pytest.raises(ContainerRefused, match="belongs to another owner; rename it or remove it"):
            Containers(client, settings).create(spec)
        assert client.api.inspect_container(spec.name)["Id"] == other
    finally:
        client.api.remove_container(other, force=True)


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


def test_a_container_cannot_gain_rights_nor_take_the_hosts_processes_and_is_ended_before_the_platform(
    settings: Settings, client: docker.DockerClient, wanted: Callable[[str, int], ContainerSpec]
) -> None:
    crowd = "for i in $(seq 50); do sleep 100 & done; sleep 100"
    spec = replace(wanted("hello.web.1", 50), image=settings.stack_image, command=("/bin/bash", "-c", crowd), pids=20)
    containers = Containers(client, settings)
    made = containers.create(spec)
    containers.start(made)
    shown = client.api.inspect_container(made)
    host, pid = shown["HostConfig"], shown["State"]["Pid"]
    assert (host["CapDrop"], host["SecurityOpt"], host["Privileged"]) == (["ALL"], ["no-new-privileges"], False)
    assert (host["PidsLimit"], host["OomScoreAdj"], host["Binds"], host["PortBindings"] or {}) == (
        20,
        oom.APP,
        None,
        {},
    )
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == oom.APP > oom.PLATFORM

    wait_for(lambda: b"fork: " in client.api.logs(made), "that it may not fork")
    assert len(client.api.top(made)["Processes"]) <= 20


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at another user's processes")
def test_what_works_for_one_client_is_ended_before_the_platform() -> None:
    with subprocess.Popen(["sleep", "100"]) as program:
        oom.expose(program.pid)
        assert int(Path(f"/proc/{program.pid}/oom_score_adj").read_text()) == oom.CLIENT
        oom.protect(program.pid, score=0)
        assert int(Path(f"/proc/{program.pid}/oom_score_adj").read_text()) == 0
        program.kill()
