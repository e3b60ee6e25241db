"""What stands and has no address in the network is given one, and mending does the rest.

That is so on another host, where the network is another one, and of an app that was had back.
"""

import ipaddress
import logging
from functools import partial

from deployer import plan
from deployer.ports import Ports
from deployer.state import App, identity
from services.chain import Cause, Draft
from services.decide import Decision, commit
from services.events import ADDRESSES, AddressesTaken, ContainersMoved, Slot, work_stream

log = logging.getLogger("pushlog.deployer")


def into(ports: Ports, subnet: str) -> None:
    """Give the standing containers that the network cannot have addresses of `subnet`.

    Raises Unavailable when it is full.
    """
    ports.projections.catch_up()
    leaving = [app.id for app in ports.state.apps.values() if astray(app, subnet)]
    held = {container.address for container in ports.containers.list()} if leaving else set()
    for id_ in leaving:
        decided = partial(decide, ports, id_, subnet, held)
        if recorded := commit(ports.log, ports.projections, decided, Cause("deployer", "deployer")):
            log.info("%s has addresses of %s now", recorded[0].subject, subnet)


def astray(app: App, subnet: str) -> set[Slot]:
    """The standing slots whose addresses are none of the network."""
    network = ipaddress.ip_network(subnet)

    def inside(slot: Slot) -> bool:
        try:
            return ipaddress.ip_address(slot.address) in network
        except ValueError:  # the log is another's, and this is no address
            return False

    return {slot for serving in app.standing() for slot in serving.slots if not inside(slot)}


def decide(ports: Ports, id_: str, subnet: str, held: set[str]) -> Decision:
    """What is recorded of an app that moves; nothing when it is gone, or has its place.

    Addresses that are `held` are some container's still. What a release and the next one share goes to one place.
    """
    app = ports.state.apps.get(id_)
    if app is None or not (leaving := astray(app, subnet)):
        return Decision([])
    free = plan.addresses(subnet, ports.state.addresses() | held, f"{id_}/moved")
    places = {identity(slot): slot.address for slot in app.slots() if slot not in leaving}
    taken, drafts = [], []
    for serving in app.standing():
        for slot in serving.slots:
            if identity(slot) not in places:
                taken.append(places.setdefault(identity(slot), next(free)))
        if leaving.intersection(serving.slots):
            slots = [slot.model_copy(update={"address": places[identity(slot)]}) for slot in serving.slots]
            moved = ContainersMoved(app=id_, release=serving.release, slots=slots)
            drafts.append(Draft(work_stream(app.releases[serving.release].id), app.name, moved))
    drafts.append(Draft(ADDRESSES, app.name, AddressesTaken(app=id_, addresses=taken)))
    return Decision(drafts, {ADDRESSES: ports.state.version})
