"""Hop 4: release.created → deploy.started, addresses.taken, then deploy.succeeded or deploy.failed. All, or nothing."""

import logging
from collections.abc import Iterable

from deployer import candidate, plan
from deployer.containers import ContainerRefused, Found
from deployer.health import Unhealthy
from deployer.ports import Ports
from deployer.state import App, identity
from services.blobs import LiveOutput
from services.chain import Draft
from services.claims import MAX_ATTEMPTS
from services.decide import TRIES, conclude
from services.errors import LeaseLost, NotOpenable, PushlogError
from services.eventlog import Lease
from services.events import (
    ADDRESSES,
    AddressesTaken,
    DeployFailed,
    DeployStarted,
    DeploySucceeded,
    Event,
    Recorded,
    ReleaseCreated,
    Slot,
    work_stream,
)

log = logging.getLogger("pushlog.deployer")


def on_release_created(release: Recorded[ReleaseCreated], ports: Ports) -> None:
    """Start what the release needs beside what serves, unless another deployer does. Old containers are not touched."""
    app = ports.state.apps.get(release.data.app)
    if app is None:
        return
    output, returns = ports.outputs.open(release.correlationid), app.returns
    with output.telling():
        if not image_settled(ports, app, release, output):
            return  # before the claim: waiting is no attempt; news of the image call us again
        subnet, there = ports.subnet(), ports.containers.list()
    claimed = claim(ports, app, release, subnet, there)
    if claimed is None:
        return
    lease, slots = claimed
    with ports.claims.renewing(lease), output.telling():
        outcome = deploy(ports, app, release.data, lease.attempt, slots, output)
        ports.projections.catch_up()
        ended = app.id not in ports.state.apps or app.returns != returns
        if ended:  # so did these, whatever came of them; once the app is back it is deployed again
            candidate.remove(ports, app.id, own(slots, release.id, lease.attempt))
            ports.log.release(lease)
            return
        try:
            conclude(ports.log, release, outcome, "deployer", lease)
        except LeaseLost:
            candidate.remove(ports, app.id, own(slots, release.id, lease.attempt))


def image_settled(ports: Ports, app: App, release: Recorded[ReleaseCreated], output: LiveOutput) -> bool:
    """Whether Docker has the release's image, or the builder says that it is lost.

    The builder makes a missing one again, which takes as long as a build: the pusher is told once.
    """
    if release.data.image in app.lost or ports.containers.has_image(app.image(release.data)):
        ports.waiting.discard(release.id)
        return True
    if release.id not in ports.waiting:
        ports.waiting.add(release.id)
        log.info("v%d of %s waits for its image", release.data.number, app.name)
        output.line("       Its image is not on this host; waiting until it is built again")
    return False


def claim(
    ports: Ports, app: App, release: Recorded[ReleaseCreated], subnet: str, there: list[Found]
) -> tuple[Lease, list[Slot]] | None:
    """Claim the release and the addresses of the containers that it needs; `there` are those of the instance.

    None when another deployer has it, or the app is gone. All deployers take addresses on one stream: who chose on a
    state that has changed since chooses anew. One where a container is that no app has any more is not free yet.
    """
    running, held = alive(app, there), {container.address for container in there}
    for _ in range(TRIES):
        with ports.projections.deciding:
            ports.projections.catch_up()
            if app.id not in ports.state.apps:
                return None
            attempt = app.attempts.get(release.data.number, 0) + 1
            slots = plan.slots(release, attempt, app.current, running, subnet, ports.state.addresses() | held)
            started = DeployStarted(app=app.id, release=release.data.number, attempt=attempt, slots=slots)
            taken = [slot.address for slot in own(slots, release.id, attempt)]
            beside = [Draft(ADDRESSES, app.name, AddressesTaken(app=app.id, addresses=taken))] if taken else []
            expect = {ADDRESSES: ports.state.version} if taken else {}
            lease = ports.claims.claim(release, started, attempt, "deployer", beside, expect)
            ports.projections.catch_up()
        if lease or not ports.claims.free(release.id):
            break
    return (lease, slots) if lease else None


def deploy(
    ports: Ports, app: App, release: ReleaseCreated, attempt: int, slots: list[Slot], output: LiveOutput
) -> Event:
    """Bring the release up; returns the outcome to be recorded. Raises Unavailable: then it is tried again."""
    new = [slot for slot in slots if not app.current or slot not in app.current.slots]
    if release.push and attempt == 1:  # said here, as what another process writes could come after the lines below
        output.step(f"Releasing {app.name}")
        output.line(f"       v{release.number}")
    output.step(f"Deploying {app.name} (v{release.number})")
    for process, quantity in sorted(release.formation.items()):
        output.line(f"       {process}={quantity}")
    try:
        refuse_hopeless(app, release, attempt)
        candidate.start(ports, app, release, new)
    except (ContainerRefused, Unhealthy, NotOpenable, Hopeless) as error:
        candidate.last_lines(ports, app, new, output)
        candidate.remove(ports, app.id, new)
        kept = ports.blobs.keep(output)
        return DeployFailed(app=app.id, release=release.number, attempt=attempt, reason=str(error), output=kept)
    return DeploySucceeded(app=app.id, release=release.number, attempt=attempt, slots=slots)


class Hopeless(PushlogError):
    """A release that is not to be tried, or not again."""


def refuse_hopeless(app: App, release: ReleaseCreated, attempt: int) -> None:
    """Raise Hopeless for a release whose image is lost or came from a failed push, or that was tried too often."""
    if reason := app.lost.get(release.image):
        raise Hopeless(f"the image of v{release.number} is gone and could not be made again: {reason}")
    if attempt > MAX_ATTEMPTS:
        raise Hopeless(f"v{release.number} was given up after {MAX_ATTEMPTS} attempts that did not end")
    for number in app.failed:
        other = app.releases[number].data
        if other.push and not release.push and other.image == release.image and release.image not in app.routed:
            raise Hopeless(
                f"v{release.number} carries the image of v{number}, which failed; set it again or push again"
            )


def alive(app: App, there: Iterable[Found]) -> list[Slot]:
    """The serving slots whose containers run at the address that the log gives them."""
    running = {(c.identity, c.address) for c in there if c.state == "running"}
    placed = [slot for slot in (app.current.slots if app.current else ()) if slot.address]
    return [slot for slot in placed if (identity(slot), slot.address) in running]


def own(slots: list[Slot], release: str, attempt: int) -> list[Slot]:
    """The slots that this attempt made."""
    return [slot for slot in slots if (slot.made_by, slot.attempt) == (release, attempt)]


def given_up(release: Recorded[ReleaseCreated], attempts: int, reason: str) -> Draft:
    """The failure that ends a release that could not be deployed; mending removes what is left of its containers."""
    data = release.data
    failed = DeployFailed(app=data.app, release=data.number, attempt=attempts, reason=reason, output=None)
    return Draft(work_stream(release.id), release.subject, failed)
