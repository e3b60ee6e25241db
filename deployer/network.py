"""The apps' network: one bridge per instance, with a subnet of its own, on which containers cannot reach each other."""

import ipaddress
from collections.abc import Collection, Iterator
from pathlib import Path

import docker
from docker.errors import APIError

from deployer.containers import translated
from deployer.spec import network_name
from services.errors import Unavailable
from services.settings import Settings
from services.subnets import PREFIX


def ensure(client: docker.DockerClient, settings: Settings) -> str:
    """Make the network unless it is there; returns its subnet.

    Raises Unavailable when no subnet is free, or the one of the settings is not.
    """
    with translated():
        if subnet := existing(client, settings):
            return subnet
        for candidate in [settings.subnet] if settings.subnet else free_subnets(used_subnets(client)):
            try:
                create(client, settings, candidate)
            except APIError as error:
                if "overlap" not in str(error):
                    raise
                continue
            return candidate
    raise Unavailable("no subnet is free for the apps' network; give one by PUSHLOG_SUBNET")


def existing(client: docker.DockerClient, settings: Settings) -> str | None:
    """The subnet of the instance's network, or None when there is no such network."""
    for network in client.api.networks(names=[network_name(settings)]):
        if network["Name"] == network_name(settings):
            return str(network["IPAM"]["Config"][0]["Subnet"])
    return None


def create(client: docker.DockerClient, settings: Settings, subnet: str) -> None:
    """Make the instance's network. Apps reach the world and the host reaches them; they do not reach each other."""
    pool = docker.types.IPAMPool(subnet=subnet)
    client.api.create_network(
        network_name(settings),
        driver="bridge",
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        options={"com.docker.network.bridge.enable_icc": "false"},
        labels={"pushlog.instance": settings.instance},
        check_duplicate=True,
    )


def used_subnets(client: docker.DockerClient) -> list[ipaddress.IPv4Network]:
    """What Docker's networks and the host's routes cover already."""
    configs = [config for network in client.api.networks() for config in network["IPAM"]["Config"] or ()]
    subnets = [ipaddress.ip_network(config["Subnet"]) for config in configs if ":" not in config.get("Subnet", ":")]
    return [s for s in [*subnets, *host_routes()] if isinstance(s, ipaddress.IPv4Network)]


def host_routes() -> Iterator[ipaddress.IPv4Network]:
    """The host's routes but the default one (proc(5): little-endian hexadecimal)."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        if mask:
            yield ipaddress.IPv4Network((address, bin(mask).count("1")))


def free_subnets(used: Collection[ipaddress.IPv4Network]) -> Iterator[str]:
    """Private subnets that overlap nothing used."""
    for block in ("10.192.0.0/11", "172.24.0.0/13"):
        for subnet in ipaddress.IPv4Network(block).subnets(new_prefix=PREFIX):
            if not any(subnet.overlaps(other) for other in used):
                yield str(subnet)
