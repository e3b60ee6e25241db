"""The end of an instance's containers and network."""

from deployer import containers
from deployer.containers import Containers, gone_is_fine, translated
from services.settings import Settings


def purge(settings: Settings) -> None:
    """Remove every app container of the instance, and its networks. Raises Unavailable when Docker does not answer."""
    client = containers.connect()
    found = Containers(client, settings)
    for container in found.list():
        found.remove(container.id)
    with translated(), gone_is_fine():
        for network in client.api.networks(filters={"label": f"pushlog.instance={settings.instance}"}):
            client.api.remove_network(network["Id"])
