"""The end of an instance's containers and network."""

from functools import partial

from deployer import containers
from deployer.containers import Containers, gone_is_fine, side_by_side, translated
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
    ours = Containers(client, settings)
    side_by_side([partial(ours.remove, row["Id"]) for row in found])
    with translated(), gone_is_fine():
        for network in client.api.networks(filters=mine):
            client.api.remove_network(network["Id"])
