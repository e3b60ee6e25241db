"""The end of an instance's containers and network."""

from deployer import containers
from deployer.containers import Containers, gone_is_fine, translated
from services.settings import Settings


def purge(settings: Settings) -> None:
    """Remove every container that carries the instance's name, and its networks.

    That is also what somebody ran from an app's image, which would keep that from being removed. Raises Unavailable
    when Docker does not answer.
    """
    client = containers.connect()
    mine = {"label": f"pushlog.instance={settings.instance}"}
    with translated():
        found = client.api.containers(all=True, quiet=True, filters=mine)
    for container in found:
        Containers(client, settings).remove(container["Id"])
    with translated(), gone_is_fine():
        for network in client.api.networks(filters=mine):
            client.api.remove_network(network["Id"])
