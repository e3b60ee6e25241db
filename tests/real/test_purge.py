"""The end of an instance in Docker."""

import os
import threading

import docker
import pytest

from deployer import network
from deployer.purge import purge
from services.settings import Settings


@pytest.fixture
def client():
    client = docker.DockerClient.from_env()
    yield client
    client.close()


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path, instance=f"purge-{os.urandom(4).hex()}")


def left(client, settings):
    """What of the instance is there."""
    mine = {"label": f"pushlog.instance={settings.instance}"}
    return client.api.containers(all=True, filters=mine) + client.api.networks(filters=mine)


def test_a_purge_waits_for_a_container_that_somebody_else_still_has_in_the_network(client, settings):
    network.ensure(client, settings)
    other = client.containers.create(
        settings.stack_image, ["sleep", "60"], network=network.network_name(settings), init=True
    )
    other.start()
    leaving = threading.Timer(1.5, other.remove, kwargs={"force": True})
    leaving.start()
    purge(settings)
    leaving.join()
    assert left(client, settings) == []


def test_a_purge_of_nothing_is_fine(client, settings):
    purge(settings)
    assert left(client, settings) == []
