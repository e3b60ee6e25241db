"""One command as the log tells it: what it recorded, what was before, and what came of the same app since."""

import time
from dataclasses import dataclass, field

from configsvc.state import State
from services import past
from services.errors import Refused
from services.eventlog import PAGE, EventLog
from services.events import AppEvent, Event, Recorded


@dataclass
class Command:
    """The events of a command in order, the state before it, and later events of its app up to `position`."""

    events: list[Recorded[Event]]
    before: State
    position: int
    since: list[Recorded[Event]] = field(default_factory=list)

    @property
    def app(self) -> str:
        """The uuid of the app that it is about; empty if it is about none."""
        return next((event.data.app for event in self.events if isinstance(event.data, AppEvent)), "")

    def read_on(self, log: EventLog) -> None:
        """Take in what the log says since."""
        while page := log.read(self.position):
            self.position = page[-1].position
            self.since += [e for e in page if isinstance(e.data, AppEvent) and e.data.app == self.app]


def command_at(log: EventLog, position: int) -> Command:
    """The command that recorded the event at `position`.

    Raises Refused when there is none, or when another event caused it: a push, a build or a deploy is no command.
    """
    found = log.read(position - 1, 1)
    if not found:
        raise Refused(f"undo: the log has no position {position}; see: events")
    told = found[0]
    if told.causationid or told.type == "push.received":
        raise Refused(
            f"undo: {told.type} at position {position} came of a push or a release, which no undo reverses; "
            f"go back with: rollback {told.subject}"
        )
    first = max(0, position - PAGE)
    around = log.read(first, position - first + PAGE)
    at = next(number for number, event in enumerate(around) if event.position == position)
    start = end = at
    while start > 0 and same(around[start - 1], told):
        start -= 1
    while end + 1 < len(around) and same(around[end + 1], told):
        end += 1
    events = around[start : end + 1]
    command = Command(events, state_before(log, events[0].position), events[-1].position)
    command.read_on(log)
    return command


def same(one: Recorded[Event], other: Recorded[Event]) -> bool:
    """Whether one command recorded both; a service records one command in a story, in one append."""
    return not one.causationid and (one.source, one.correlationid) == (other.source, other.correlationid)


def state_before(log: EventLog, position: int) -> State:
    """What configsvc knew before the event at `position`."""
    state = State()
    for _ in past.replay(log, {"configsvc": state}, 0, position - 1):
        time.sleep(0)  # others have a turn
    return state
