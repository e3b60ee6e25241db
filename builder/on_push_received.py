"""Hop 2: push.received → build.started, then build.succeeded or build.failed. A tree becomes an image, or a reason."""

from contextlib import suppress

from builder import buildstep, tars
from builder.buildstep import BuildRefused, BuildRequest
from builder.ports import Ports
from builder.state import App
from builder.tars import Call
from services.blobs import LiveOutput
from services.chain import Draft
from services.claims import MAX_ATTEMPTS
from services.decide import conclude
from services.errors import BadInput, LeaseLost, NotOpenable, Refused
from services.events import BuildFailed, BuildStarted, BuildSucceeded, Event, PushReceived, Recorded, work_stream


def on_push_received(push: Recorded[PushReceived], ports: Ports, call: Call) -> None:
    """Build the push, unless another builder does. What an attempt before this one left is removed first."""
    app = ports.state.apps.get(push.data.app)
    if app is None or not ports.claims.free(push.id):
        return
    attempt = app.builds[push.id].attempt + 1
    output = ports.outputs.open(push.correlationid)
    with output.telling():
        buildstep.check(ports.client)  # before the claim: waiting for Docker, or for gitreceiver, is no attempt
        with suppress(BadInput, Refused):  # which end the build
            tars.fetch(ports, call, app, app.builds[push.id])
        lease = ports.claims.claim(push, BuildStarted(app=app.id, attempt=attempt), attempt, "builder")
    if lease is None:
        return
    with ports.claims.renewing(lease), output.telling():
        buildstep.remove_leftovers(ports.client, ports.settings, ports.attempts)
        outcome = build(ports, call, app, push, attempt, output)
        try:
            conclude(ports.log, push, outcome, "builder", lease)
            ports.sources.remove(app.id, push.id)
        except LeaseLost:
            buildstep.remove_leftovers(ports.client, ports.settings, lambda: ports.attempts() - {(push.id, attempt)})
            if isinstance(outcome, BuildSucceeded):
                buildstep.remove_image(ports.client, outcome.image)


def build(ports: Ports, call: Call, app: App, push: Recorded[PushReceived], attempt: int, output: LiveOutput) -> Event:
    """Run the build; returns the outcome to be recorded. Raises Unavailable: then it is tried again."""
    output.step(f"Building {app.name}" + (f" again (attempt {attempt})" if attempt > 1 else ""))
    try:
        if attempt > MAX_ATTEMPTS:
            raise BuildRefused(f"the build was given up after {MAX_ATTEMPTS} attempts that did not end")
        request = BuildRequest(
            app=app.id,
            name=app.name,
            work=push.id,
            attempt=attempt,
            source=tars.fetch(ports, call, app, app.builds[push.id]),
            commit=push.data.new,
            env=ports.keyring.open_all(app.id, app.config),
        )
        result = buildstep.build(ports.client, ports.settings, request, output.write)
    except (BadInput, BuildRefused, NotOpenable, Refused) as error:
        return BuildFailed(app=app.id, attempt=attempt, reason=str(error), output=ports.blobs.keep(output))
    return BuildSucceeded(
        app=app.id,
        attempt=attempt,
        image=result.image,
        stack=result.stack,
        buildpack=result.buildpack,
        processes=result.processes,
        commit=push.data.new,
        output=ports.blobs.put_bytes(bytes(output.kept)),
    )


def given_up(push: Recorded[PushReceived], attempts: int, reason: str) -> Draft:
    """The failure that ends a push that could not be built."""
    failed = BuildFailed(app=push.data.app, attempt=attempts, reason=reason, output=None)
    return Draft(work_stream(push.id), push.subject, failed)
