"""Which images should be there: those that serve or are about to. What Docker has not is built again.

That is so on another host, and wherever somebody removed an image. The log keeps the image's recorded id, and
image.restored says what it is here.
"""

import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic

from builder import buildstep, tars
from builder.buildstep import BuildRefused, BuildRequest
from builder.ports import Ports
from builder.state import App, Build
from builder.tars import Call
from services.chain import Cause, Draft
from services.errors import BadInput, NotOpenable, Refused, Unavailable
from services.events import Event, ImageLost, ImageRestored, work_stream
from services.tasks import side_by_side

log = logging.getLogger("pushlog.builder")

EVERY = 60.0
"""Seconds between looks at Docker when nothing new is needed."""
AGAIN = 5.0
REFUSALS = 3
"""Builds of an image that fail, EVERY seconds apart, before it is called lost."""

Need = tuple[str, int, str]
"""An app's uuid, a release that serves or may, and the id of its image on this host."""


def for_ever(ports: Ports, call: Call) -> None:
    """Look at once, when an image is newly needed, and every EVERY seconds; of several builders only one does."""
    while True:
        with ports.claims.playing("restorer") as still:
            while_ours(ports, call, still)


def while_ours(ports: Ports, call: Call, still: Callable[[], bool]) -> None:
    """Make missing images again until the role is another builder's. While Docker is away, look every AGAIN seconds."""
    looked: set[Need] = set()
    refused: Counter[str] = Counter()
    turn, due = -1, 0.0
    while still():
        try:
            if needs(ports) - looked or monotonic() >= due:
                tars.sweep(ports)
                restore(ports, call, still, refused)
                looked, due = needs(ports), monotonic() + EVERY
        except Unavailable as error:
            log.warning("images are not looked after for now: %s", error)
            looked, due = set(), monotonic() + AGAIN
        turn = ports.projections.wait(turn, AGAIN)


def needs(ports: Ports) -> set[Need]:
    """Which release needs which image."""
    ports.projections.catch_up()
    return {(app.id, number, image) for app in ports.state.apps.values() for number, image in app.standing().items()}


def restore(ports: Ports, call: Call, still: Callable[[], bool], refused: Counter[str]) -> None:
    """Make what is missing again, as many at once as builds may run; what a backup brought becomes this instance's.

    One that fails keeps no other from being made. It is lost when it was `refused` REFUSALS times: a host that was just
    set up may not reach everything yet. Raises Unavailable: then it is tried again.
    """
    gone, brought = buildstep.look_for(ports.client, ports.settings, {image for _, _, image in needs(ports)})
    if not gone and not brought:
        return
    buildstep.remove_leftovers(ports.client, ports.settings, ports.running)

    def make(app: App, image: str, build: Build) -> None:
        here = app.restored.get(image, image)
        if here not in gone | brought or not still() or app.id not in ports.state.apps:
            return
        try:
            outcome = made_again(ports, call, app, build) if here in gone else own(ports, app, build, here)
        except BuildRefused as error:
            refused[image] += 1
            if refused[image] < REFUSALS:
                log.warning("the image of %s is tried again in %.0f s: %s", app.name, EVERY, error)
                return
            outcome = ImageLost(app=app.id, image=build.image, reason=str(error))
        del refused[image]
        record(ports, app, build, outcome)

    needed = [(app, image, build) for app in ports.state.apps.values() for image, build in app.needed().items()]
    side_by_side([partial(make, *each) for each in needed], ports.settings.build_concurrency)


def own(ports: Ports, app: App, build: Build, image: str) -> Event:
    """Make an image this instance's, which Docker has of another one."""
    request = BuildRequest(app.id, app.name, build.id, build.attempt, Path(), build.commit, {})
    restored = buildstep.own(ports.client, ports.settings, request, image)
    return ImageRestored(app=app.id, image=build.image, restored=restored, stack=build.stack)


def made_again(ports: Ports, call: Call, app: App, build: Build) -> Event:
    """Build an image from what was pushed once more.

    Raises BuildRefused, and Unavailable when Docker or gitreceiver is at fault: then it is tried again.
    """
    log.info("the image of %s at %s is not there; it is made again", app.name, build.commit[:8])
    printed = bytearray()
    try:
        env, source = ports.keyring.open_all(app.id, app.config), tars.fetch(ports, call, app, build)
    except (BadInput, NotOpenable, Refused) as error:
        return ImageLost(app=app.id, image=build.image, reason=str(error))
    request = BuildRequest(app.id, app.name, build.id, build.attempt, source, build.commit, env, build.stack)
    try:
        result = buildstep.build(ports.client, ports.settings, request, printed.extend)
    except BuildRefused:
        log.error("%s", bytes(printed[-2000:]).decode(errors="replace"))
        raise
    finally:
        ports.sources.remove(app.id, build.id)
    if result.stack != build.stack:
        log.warning("%s is on the stack %.19s now; %.19s is not there any more", app.name, result.stack, build.stack)
    return ImageRestored(app=app.id, image=build.image, restored=result.image, stack=result.stack)


def record(ports: Ports, app: App, build: Build, outcome: Event) -> None:
    """Record what became of an image; nobody else does, as only one has the role."""
    ports.projections.catch_up()
    if app.id not in ports.state.apps:
        return
    cause = Cause("builder", "builder", correlationid=build.id, causationid=build.id)
    ports.log.append([Draft(work_stream(build.id), app.name, outcome)], cause)
    ports.projections.catch_up()
    if isinstance(outcome, ImageLost):
        log.error("the image of %s at %s is lost: %s", app.name, build.commit[:8], outcome.reason)
