"""Reconcile: compare the log with Docker and mend Docker.

Start, a restart of Docker, a killed container and a restore are the same code path.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

from deployer import candidate, move, spec
from deployer.containers import Found, kernel_pids
from deployer.on_app_shredded import forget
from deployer.ports import Ports
from deployer.state import App, Identity, identity
from services.engine import NoAnswer
from services.errors import PushlogError, Unavailable
from services.events import ReleaseCreated, Slot

log = logging.getLogger("pushlog.deployer")

EVERY = 30.0
LONGEST_PAUSE = 300.0
SECOND_LOOK = 0.25
"""Docker tells of a death before its list shows it: seconds until the list is believed."""


@dataclass
class Pauses:
    """How long a container that keeps ending is left alone: 0, 1, 2, 4 … s, forgotten after a quiet while."""

    started: dict[tuple[object, ...], tuple[int, float]]

    def due(self, key: tuple[object, ...], now: float) -> bool:
        """Whether it may be started now; counts it as started if so."""
        count, last = self.started.get(key, (0, 0.0))
        if last and now - last > LONGEST_PAUSE:
            count = 0
        if count and now - last < min(2 ** (count - 1), LONGEST_PAUSE):
            return False
        self.started[key] = count + 1, now
        return True


def for_ever(ports: Ports) -> None:
    """Mend at once, at every death of a container, and every EVERY seconds; of several deployers only one does."""
    while True:
        with ports.claims.playing("mender") as still:
            while_ours(ports, still)


def while_ours(ports: Ports, still: Callable[[], bool]) -> None:
    """Mend until the role is another deployer's. While Docker or the log is away, look for it every second."""
    pauses, woken, away = Pauses({}), False, False
    while still():
        ports.look.clear()
        try:
            subnet = ports.subnet()
            with ports.mending:
                move.into(ports, subnet)
                everything(ports, pauses)
            away = False
        except Unavailable as error:
            if not away:
                log.warning("apps are not looked after for now: %s", error)
            away = True
        rest = 1.0 if pauses.started or away else EVERY
        woken = ports.look.wait(SECOND_LOOK if woken and not away else rest)
        quiet = time.monotonic() - LONGEST_PAUSE
        pauses.started = {key: value for key, value in pauses.started.items() if value[1] > quiet}


def listen(ports: Ports) -> None:
    """Ask for a look whenever Docker tells of a container that died or was removed, and when Docker was away."""
    while True:
        with suppress(Unavailable):  # `while_ours` says so
            for _ in ports.containers.deaths():
                ports.look.set()
        ports.look.set()
        time.sleep(1)


def everything(ports: Ports, pauses: Pauses) -> None:
    """One look at the world. Containers are listed before the log is read, so that a fresh one is no stray.

    What Docker refuses for one app is logged; raises Unavailable when Docker does not answer at all.
    """
    there = ports.containers.list()
    ports.projections.catch_up()
    wanted = {identity(slot): slot.address for app in ports.state.apps.values() for slot in app.slots()}
    found = defaultdict(list)
    for container in there:
        if is_stray(container, wanted):
            remove(ports, container)
        else:
            found[container.app].append(container)
    forget(ports)
    for app in list(ports.state.apps.values()):
        try:
            serve(ports, app, found[app.id], pauses)
        except NoAnswer:
            raise
        except PushlogError as error:
            log.error("%s cannot be brought up: %s", app.name, error)


def remove(ports: Ports, stray: Found) -> None:
    """Remove a container that no release has, keeping what it printed: its app may be had back.

    One that Docker does not let go must not keep the others from mending.
    """
    log.info("removing %s, which no release has", stray.name)
    try:
        candidate.bury(ports, stray.id, stray.app, f"{stray.identity[2]}.{stray.identity[3]}")
    except NoAnswer:
        raise
    except PushlogError as error:
        log.error("%s cannot be removed: %s", stray.name, error)


def is_stray(container: Found, wanted: Mapping[Identity, str]) -> bool:
    """Whether a container is none of the `wanted`, or elsewhere: a copy of one, cut off, or from before a move.

    One that does not run has no address, and was made for the one that it is labelled with.
    """
    if container.identity not in wanted:
        return True
    address = wanted[container.identity]
    made_for = container.labels.get(f"{spec.LABEL}address", address)
    return (container.address if container.state == "running" else made_for) != address


def serve(ports: Ports, app: App, there: Collection[Found], pauses: Pauses) -> None:
    """Bring up what should serve and does not, unless Docker gave up on it or it ended a moment ago.

    Of what came up to serve next, only what is gone: that happens to it on another host. What has no address yet, as
    its app was had back a moment ago, gets one at the next look. `there` are the app's containers as they were listed
    a while ago.
    """
    serving = app.current.slots if app.current else ()
    slots = dict.fromkeys(slot for standing in app.standing() for slot in standing.slots if slot.address)
    found = {container.identity: container for container in there}
    if any(identity(slot) not in found for slot in slots):  # it may have come up since, and be routed by now
        found = {container.identity: container for container in ports.containers.list(app.id)}
    for slot in slots:
        container = found.get(identity(slot))
        if container and (slot not in serving or container.state in ("running", "restarting", "paused")):
            continue
        if container is None and not ports.containers.has_image(app.image(release_of(app, slot))):
            continue  # the builder makes it again, and then we are woken
        look = ports.containers.look(container.id) if container else None
        if (look and (look.gave_up or look.running)) or not pauses.due(identity(slot), time.monotonic()):
            continue
        log.info("starting %s.%s.%d", app.name, slot.process, slot.number)
        if container is None:
            recreate(ports, app, slot, slot in serving)
        else:
            ports.containers.start(container.id)
    hand_over_names(ports, app, found.values())


def release_of(app: App, slot: Slot) -> ReleaseCreated:
    """The release that a standing slot's container comes from."""
    return next(r.data for r in app.releases.values() if r.id == slot.made_by)


def recreate(ports: Ports, app: App, slot: Slot, serves: bool) -> None:
    """Make and start a container that is gone, the same at the same address."""
    release = release_of(app, slot)
    config = ports.keyring.open_all(app.id, release.config)
    name = spec.container_name(ports.settings, app.name, slot)
    if not serves:
        name = candidate.first_name(ports, app, release.number, slot)
    wanted = spec.container(ports.settings, app, release, slot, config, name, kernel_pids())
    container = ports.containers.create(wanted)
    ports.containers.start(container)
    if serves:
        ports.containers.serve(container, name)


def hand_over_names(ports: Ports, app: App, there: Collection[Found]) -> None:
    """Give what serves its name and restarts; what leaves and still has the name gets another first.

    `there` are the app's containers. Another process may be doing the same: who is slower is refused, and looks again.
    """
    found = {container.identity: container for container in there}
    names = {container.name: container for container in there}
    for slot in app.current.slots if app.current else ():
        container = found.get(identity(slot))
        if container is None:
            continue
        name = spec.container_name(ports.settings, app.name, slot)
        holder = names.get(name)
        if holder and holder.id != container.id:
            ports.containers.rename(holder.id, f"{name}.v{holder.labels['pushlog.release']}.retired")
        ports.containers.serve(container.id, name)
