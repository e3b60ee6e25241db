"""The end of a destroyed app's grace: it is recorded that it cannot be had back.

By the wall clock, because the grace outlasts processes; a log of an older version ends it no other way.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from configsvc.ports import Ports
from configsvc.state import App
from services.chain import Cause, Draft
from services.decide import Decision, commit, outcome_id
from services.events import AppDestroyed, AppShredded, Recorded, app_stream

LOOK = 60.0
"""Seconds after which the clock is looked at in any case: it may be set meanwhile."""

Clock = Callable[[], datetime]


def for_ever(ports: Ports, clock: Clock = lambda: datetime.now(UTC)) -> None:
    """Shred what is due whenever something is."""
    turn = -1
    while True:
        turn = ports.projections.wait(turn, shred_due(ports, clock()))


def shred_due(ports: Ports, now: datetime) -> float:
    """Record app.shredded for every app that is over its grace; returns the seconds until the next is, at most LOOK."""
    rest = LOOK
    for app in list(ports.state.gone.values()):
        if (left := seconds_left(app, ports.grace, now)) > 0:
            rest = min(rest, left)
        elif app.destroyed:
            shred(ports, app.destroyed)
    return rest


def seconds_left(app: App, grace: float, now: datetime) -> float:
    """How long a destroyed app can still be had back."""
    if app.destroyed is None:
        return grace
    return grace - (now - datetime.fromisoformat(app.destroyed.time)).total_seconds()


def shred(ports: Ports, destroyed: Recorded[AppDestroyed]) -> None:
    """Record the end of an app's grace, once, unless it was restored meanwhile."""
    app = destroyed.data.app

    def decide() -> Decision:
        gone = ports.state.gone.get(app)
        if gone is None or gone.destroyed != destroyed:
            return Decision([])
        shredded = AppShredded(app=app, name=destroyed.data.name)
        stream = app_stream(app)
        draft = Draft(stream, destroyed.subject, shredded, outcome_id(destroyed, "configsvc"))
        return Decision([draft], {stream: ports.state.version(stream)})

    commit(ports.log, ports.projections, decide, Cause.after("configsvc", destroyed))
