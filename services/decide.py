"""Decide, then append: a command is checked against caught-up state and recorded only if that state still holds."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from services.chain import Cause, Draft
from services.claims import Claims
from services.errors import Conflict, LeaseLost, Refused
from services.eventlog import EventLog, Lease
from services.events import Event, Recorded, work_stream
from services.projections import Projections

TRIES = 10
KEY_REMOVED = "This key was removed and may not enter any more."


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
    state has taken it in; for a command that arrived before, and was recorded, that is what was recorded then: in one
    story a service records one command. Raises what `decide` raises, Refused when the asker's key was removed since, or
    Conflict after TRIES.
    """
    with projections.deciding:
        for _ in range(TRIES):
            projections.catch_up()
            if recorded := projections.commands.recorded(cause):
                return recorded
            decision = decide()
            if not decision.drafts:
                return []
            try:
                recorded = log.append(decision.drafts, cause, expect={**decision.expect, **cause.authority})
            except Conflict as error:
                if error.stream in cause.authority:
                    raise Refused(KEY_REMOVED) from None
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


def give_up(
    log: EventLog, claims: Claims, trigger: Recorded[Event], outcome: Draft, source: str, attempts: int
) -> bool:
    """Record `outcome`, a failure, for work that was claimed `attempts` times; False when it is another holder's.

    It has the id that any outcome of this work of `source` has (see outcome_id), so that it never stands beside one.
    """
    if not claims.free(trigger.id):
        return False
    left = log.leases().get(trigger.id)
    outcome = replace(outcome, id=outcome_id(trigger, source))
    expect = {outcome.stream: attempts} if outcome.stream == work_stream(trigger.id) else {}
    try:
        log.append([outcome], Cause.after(source, trigger), expect=expect, lease=left[0] if left else None)
    except (Conflict, LeaseLost):
        return False
    return True


def outcome_id(trigger: Recorded[Event], source: str) -> str:
    """The id of what `source` records because of `trigger` on a stream that other events stand in too.

    It follows from the trigger's, and the log records an id once: so two processes that react to one trigger, each
    with another outcome, record one. A UUID version 7 of the trigger's millisecond (RFC 9562).
    """
    digest = hashlib.sha256(f"{source} after {trigger.id}".encode()).hexdigest()
    return f"{trigger.id[:13]}-7{digest[:3]}-{'89ab'[int(digest[3], 16) % 4]}{digest[4:7]}-{digest[7:19]}"
