"""Decide, then append: a command is checked against caught-up state and recorded only if that state still holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.chain import Cause, Draft
from services.errors import Conflict
from services.eventlog import EventLog, Lease
from services.events import Event, Recorded, work_stream
from services.projections import Projections

TRIES = 10


@dataclass(frozen=True)
class Decision:
    """What to record, and the versions that the streams it was decided on must still have. No drafts: nothing to do."""

    drafts: list[Draft]
    expect: Mapping[str, int] = field(default_factory=dict)


def commit(
    log: EventLog, projections: Projections, decide: Callable[[], Decision], cause: Cause
) -> list[Recorded[Event]]:
    """Record what `decide` says on caught-up state; decide anew when another process was faster.

    A process decides one thing at a time, so `decide` must not wait for anything. Returns what was recorded, and the
    state has taken it in. Raises what `decide` raises, or Conflict after TRIES.
    """
    with projections.deciding:
        for _ in range(TRIES):
            projections.catch_up()
            decision = decide()
            if not decision.drafts:
                return []
            try:
                recorded = log.append(decision.drafts, cause, expect=decision.expect)
            except Conflict as error:
                conflict = error
                continue
            projections.catch_up()
            return recorded
    raise conflict


def conclude(log: EventLog, trigger: Recorded[Event], outcome: Event, source: str, lease: Lease | None = None) -> bool:
    """Record the one outcome of the work that `trigger` asks for; False when it has one already.

    With a `lease` its holder must still have it (LeaseLost), without one the work's stream must be empty.
    """
    draft = Draft(work_stream(trigger.id), trigger.subject, outcome)
    try:
        log.append([draft], Cause.after(source, trigger), expect={} if lease else {draft.stream: 0}, lease=lease)
    except Conflict:
        return False
    return True
