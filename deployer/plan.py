"""Which containers a release runs, decided before any is started: what is kept, and where the others will answer."""

import ipaddress
import zlib
from collections.abc import Collection, Iterator

from deployer import spec
from deployer.state import Serving
from services.errors import Unavailable
from services.events import Recorded, ReleaseCreated, Slot
from services.subnets import FIRST_HOST, room


def slots(
    release: Recorded[ReleaseCreated],
    attempt: int,
    current: Serving | None,
    alive: Collection[Slot],
    subnet: str,
    taken: Collection[str],
) -> list[Slot]:
    """The slots of `release` in its `attempt`th attempt.

    A slot of `current` that is `alive` and would be the same is kept; each other one gets an address of `subnet` that
    is not `taken`. Raises Unavailable when the subnet is full.
    """
    kept = {slot.spec: slot for slot in (current.slots if current else ()) if slot in alive}
    free = addresses(subnet, taken, f"{release.id}/{attempt}")
    planned = []
    for process, quantity in sorted(release.data.formation.items()):
        for number in range(1, quantity + 1):
            digest = spec.digest(release.data, process, number)
            planned.append(
                kept.get(digest)
                or Slot(
                    process=process,
                    number=number,
                    address=next(free),
                    port=spec.PORT,
                    spec=digest,
                    made_by=release.id,
                    attempt=attempt,
                )
            )
    return planned


def addresses(subnet: str, taken: Collection[str], seed: str) -> Iterator[str]:
    """Free addresses of a subnet, from a place that `seed` decides.

    So an address is not used again soon, and two deployers that plan at once hardly meet.
    """
    network = ipaddress.ip_network(subnet)
    size = room(subnet)
    start = zlib.crc32(seed.encode())
    for step in range(size):
        address = str(network[FIRST_HOST + (start + step) % size])
        if address not in taken:
            yield address
    raise Unavailable(f"the apps' network {subnet} has no free address; stop apps, or give PUSHLOG_SUBNET a larger one")
