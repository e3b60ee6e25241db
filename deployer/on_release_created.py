"""Hop 4: release.created → deploy.started, then deploy.succeeded or deploy.failed. The candidate comes up, or goes."""

from deployer import candidate, plan
from deployer.containers import ContainerRefused
from deployer.health import Unhealthy
from deployer.ports import Ports
from deployer.state import App, identity
from services.blobs import LiveOutput
from services.claims import MAX_ATTEMPTS
from services.decide import conclude
from services.errors import LeaseLost, NotOpenable, PushlogError
from services.events import DeployFailed, DeployStarted, DeploySucceeded, Event, Recorded, ReleaseCreated, Slot


def on_release_created(release: Recorded[ReleaseCreated], ports: Ports) -> None:
    """Start what the release needs beside what serves. The old containers are not touched."""
    app = ports.state.apps.get(release.data.app)
    if app is None:
        return
    attempt = app.candidate.attempt + 1 if app.candidate and app.candidate.release == release.data.number else 1
    output = ports.outputs.open(release.correlationid)
    with output.telling():
        subnet, running = ports.subnet(), alive(ports, app)
    with ports.projections.deciding:  # so that two releases never choose one address
        ports.projections.catch_up()
        slots = plan.slots(release, attempt, app.current, running, subnet, ports.state.addresses())
        started = DeployStarted(app=app.id, release=release.data.number, attempt=attempt, slots=slots)
        lease = ports.claims.claim(release, started, attempt, "deployer")
        ports.projections.catch_up()
    if lease is None:
        return
    with ports.claims.renewing(lease), output.telling():
        outcome = deploy(ports, app, release.data, attempt, slots, output)
        try:
            conclude(ports.log, release, outcome, "deployer", lease)
        except LeaseLost:
            candidate.remove(ports, app.id, own(slots, release.id, attempt))


def deploy(
    ports: Ports, app: App, release: ReleaseCreated, attempt: int, slots: list[Slot], output: LiveOutput
) -> Event:
    """Bring the release up; returns the outcome to be recorded. Raises Unavailable: then it is tried again."""
    new = [slot for slot in slots if not app.current or slot not in app.current.slots]
    output.step(f"Deploying {app.name} (v{release.number})")
    for process, quantity in sorted(release.formation.items()):
        output.line(f"       {process}={quantity}")
    try:
        refuse_hopeless(app, release, attempt)
        candidate.start(ports, app, release, new)
    except (ContainerRefused, Unhealthy, NotOpenable, Hopeless) as error:
        candidate.last_lines(ports, app, new, output)
        candidate.remove(ports, app.id, new)
        kept = ports.blobs.put_bytes(bytes(output.kept))
        return DeployFailed(app=app.id, release=release.number, attempt=attempt, reason=str(error), output=kept)
    return DeploySucceeded(app=app.id, release=release.number, attempt=attempt, slots=slots)


class Hopeless(PushlogError):
    """A release that is not to be tried, or not again."""


def refuse_hopeless(app: App, release: ReleaseCreated, attempt: int) -> None:
    """Raise Hopeless for a release whose image came from a failed push, or that took the deployer down too often."""
    if attempt > MAX_ATTEMPTS:
        raise Hopeless(f"v{release.number} was given up after {MAX_ATTEMPTS} attempts that did not end")
    for number in app.failed:
        other = app.releases[number].data
        if other.push and not release.push and other.image == release.image and release.image not in app.routed:
            raise Hopeless(
                f"v{release.number} carries the image of v{number}, which failed; set it again or push again"
            )


def alive(ports: Ports, app: App) -> list[Slot]:
    """The serving slots whose containers run at the address that the log gives them."""
    running = {(c.identity, c.address) for c in ports.containers.list(app.id) if c.state == "running"}
    return [slot for slot in (app.current.slots if app.current else ()) if (identity(slot), slot.address) in running]


def own(slots: list[Slot], release: str, attempt: int) -> list[Slot]:
    """The slots that this attempt made."""
    return [slot for slot in slots if (slot.made_by, slot.attempt) == (release, attempt)]
