"""Another network, as on another host: what serves is given addresses of it, and mending does the rest."""

import ipaddress
import logging
from functools import partial

from deployer import plan
from deployer.ports import Ports
from deployer.state import App
from services.chain import Cause, Draft
from services.decide import Decision, commit
from services.events import ADDRESSES, AddressesTaken, ContainersMoved, Slot, work_stream

log = logging.getLogger("pushlog.deployer")


def into(ports: Ports, subnet: str) -> None:
    """Give the current releases' containers that the network cannot have addresses of `subnet`.

    Raises Unavailable when it is full.
    """
    ports.projections.catch_up()
    for id_ in [app.id for app in ports.state.apps.values() if astray(app, subnet)]:
        decided = partial(decide, ports, id_, subnet)
        if recorded := commit(ports.log, ports.projections, decided, Cause("deployer", "deployer")):
            log.info("%s has addresses of %s now", recorded[0].subject, subnet)


def astray(app: App, subnet: str) -> list[Slot]:
    """The serving slots whose addresses are none of the network."""
    network = ipaddress.ip_network(subnet)

    def inside(slot: Slot) -> bool:
        try:
            return ipaddress.ip_address(slot.address) in network
        except ValueError:  # the log is another's, and this is no address
            return False

    return [slot for slot in (app.current.slots if app.current else ()) if not inside(slot)]


def decide(ports: Ports, id_: str, subnet: str) -> Decision:
    """What is recorded of an app that moves; nothing when it is gone, or has its place."""
    app = ports.state.apps.get(id_)
    if app is None or app.current is None or not (leaving := astray(app, subnet)):
        return Decision([])
    release = app.releases[app.current.release]
    free = plan.addresses(subnet, ports.state.addresses(), f"{release.id}/moved")
    taken = {slot: next(free) for slot in leaving}
    slots = [slot.model_copy(update={"address": taken.get(slot, slot.address)}) for slot in app.current.slots]
    moved = ContainersMoved(app=id_, release=app.current.release, slots=slots)
    addresses = AddressesTaken(app=id_, addresses=list(taken.values()))
    drafts = [Draft(work_stream(release.id), app.name, moved), Draft(ADDRESSES, app.name, addresses)]
    return Decision(drafts, {ADDRESSES: ports.state.version})
