"""Who and where a backup's events name: what no version of Pushlog could have recorded is refused, and nothing else."""

import ipaddress
from collections.abc import Iterator

from gitreceiver.backup.archive import BadBackup
from services.events import AddressesTaken, Event, Recorded, RoutePublished
from services.names import FINGERPRINT_PATTERN, KEY_NAME_PATTERN, matches, shown
from services.runner import SERVICES

LOCAL = "local"
UNKNOWN = ("unknown", "unknown:0")
NEVER = tuple(map(ipaddress.IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))
"""Addresses of no container: this host, its own, its link's, multicast, and what is reserved."""


def check(event: Recorded[Event]) -> None:
    """Raise BadBackup for an event by nobody, or with an address that no client or container has."""
    if not is_actor(event.actor):
        raise _damaged(event, "actor", event.actor)
    if not is_origin(event.origin):
        raise _damaged(event, "origin", event.origin)
    if event.source not in SERVICES:
        raise _damaged(event, "source", event.source)
    for address in addresses(event.data):
        if not is_containers(address):
            raise _damaged(event, "address", address)
    if isinstance(event.data, RoutePublished):
        for upstream in event.data.upstreams:
            host, _, port = upstream.rpartition(":")
            if not is_containers(host) or int(port) > 65535:
                raise _damaged(event, "address", upstream)


def is_actor(text: str) -> bool:
    """Whether `text` is `local`, a service, or a key's name and fingerprint."""
    name, space, fingerprint = text.partition(" ")
    if not space:
        return name == LOCAL or name in SERVICES
    return matches(KEY_NAME_PATTERN, name) and matches(FINGERPRINT_PATTERN, fingerprint)


def is_origin(text: str) -> bool:
    """Whether `text` is where an asker came from: nowhere, `local`, or an IP address, which may have a port."""
    if text in ("", LOCAL, *UNKNOWN):
        return True
    host, colon, port = text.rpartition(":")
    if text.startswith("["):
        host = host.removeprefix("[").removesuffix("]")
    elif not colon or ":" in host:  # without a port
        host, port = text, "0"
    try:
        ipaddress.ip_address(host)
        return port.isascii() and port.isdecimal() and int(port) < 1 << 16
    except ValueError:
        return False


def is_containers(text: str) -> bool:
    """Whether a deployer can have given a container this address: not, for instance, one of the host's own."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return not any(address in network for network in NEVER)


def addresses(data: Event) -> Iterator[str]:
    """The addresses of containers in an event."""
    if isinstance(data, AddressesTaken):
        yield from data.addresses
    for slot in getattr(data, "slots", ()):
        yield slot.address


def _damaged(event: Recorded[Event], what: str, value: str) -> BadBackup:
    return BadBackup(
        f"the backup is damaged: its event {event.position} has the {what} {shown(value)}, which no Pushlog records"
    )
