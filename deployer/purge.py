"""The end of an instance's containers and network."""

import logging
import time
from collections.abc import Iterator
from functools import partial

import docker

from deployer.containers import ContainerRefused, Containers, gone_is_fine, translated
from services import engine
from services.settings import Settings
from services.tasks import side_by_side

log = logging.getLogger("pushlog.deployer")

SETTLED = 20.0
"""Seconds in which Docker finishes removals that it had begun before."""


def purge(settings: Settings) -> None:
    """Remove every container that carries the instance's name, and its networks.

    That is also what somebody ran from an app's image, which would keep that from being removed. A network that Docker
    keeps although nothing is in it stays, and a warning tells of it. Raises Unavailable when Docker does not answer.
    """
    client = engine.connect()
    deadline = time.monotonic() + SETTLED
    while True:
        try:
            return sweep(client, settings)
        except ContainerRefused:  # a container that is still being removed has its place in the network
            if time.monotonic() > deadline:
                if any(inside(client, settings)):
                    raise
                log.warning("Docker keeps a network of %s that nothing is in, until it restarts", settings.instance)
                return None
        time.sleep(0.2)


def inside(client: docker.DockerClient, settings: Settings) -> Iterator[str]:
    """The ids of the containers in the instance's networks. Docker may hold one for a container that is gone."""
    with translated(), gone_is_fine():
        for network in client.api.networks(filters={"label": f"pushlog.instance={settings.instance}"}):
            yield from client.api.inspect_network(network["Id"])["Containers"]


def sweep(client: docker.DockerClient, settings: Settings) -> None:
    """Remove what is there now. Raises ContainerRefused for a network that a container is still in."""
    mine = {"label": f"pushlog.instance={settings.instance}"}
    with translated():
        found = client.api.containers(all=True, quiet=True, filters=mine)
    ours = Containers(client, settings)
    side_by_side([partial(ours.remove, row["Id"]) for row in found])
    with translated(), gone_is_fine():
        for network in client.api.networks(filters=mine):
            client.api.remove_network(network["Id"])
