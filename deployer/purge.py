"""The end of an instance's containers and network."""

import time
from functools import partial

import docker

from deployer.containers import ContainerRefused, Containers, gone_is_fine, translated
from services import engine
from services.settings import Settings
from services.tasks import side_by_side

SETTLED = 20.0
"""Seconds in which Docker finishes removals that it had begun before."""


def purge(settings: Settings) -> None:
    """Remove every container that carries the instance's name, and its networks.

    That is also what somebody ran from an app's image, which would keep that from being removed. Raises Unavailable
    when Docker does not answer.
    """
    client = engine.connect()
    deadline = time.monotonic() + SETTLED
    while True:
        try:
            return sweep(client, settings)
        except ContainerRefused:  # a container that is still being removed has its place in the network
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


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
