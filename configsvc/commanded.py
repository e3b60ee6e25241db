"""What one command recorded, read from the log, with what was known of its app before it and what came since."""

import time
from dataclasses import dataclass, field
from itertools import takewhile

from configsvc.state import State
from services import chain
from services.errors import Refused
from services.eventlog import PAGE, EventLog
from services.events import AppEvent, Event, Recorded

READ = 2000
DATA = chain.COLUMNS.index("data")


@dataclass
class Command:
    """The events of a command, what was known of its app before it, and later events of the app up to `position`."""

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
        while self.app and (page := log.rows(self.position, READ)):
            self.position = page[-1][0]
            self.since += [chain.recorded(row) for row in page if self.app in row[DATA]]


def command_at(log: EventLog, position: int) -> Command:
    """The command that recorded the event at `position`.

    Raises Refused when there is none, or when another event caused it: a push, a build or a deploy is no command.
    """
    found = log.read(position - 1, 1)
    if not found:
        raise Refused(f"undo: the log has no position {position}; see: events")
    told = found[0]
    if told.type == "app.shredded":
        raise Refused(f"app: {told.subject} was shredded, with its key, images and repository; nothing brings it back")
    if told.causationid or told.type == "push.received":
        raise Refused(
            f"undo: {told.type} at position {position} came of a push or a release, which no undo reverses; "
            f"go back with: rollback {told.subject}"
        )
    events = [*before(log, told), told, *behind(log, told)]
    command = Command(events, State(), events[-1].position)
    command.before = state_before(log, events[0].position, command.app)
    command.read_on(log)
    return command


def before(log: EventLog, told: Recorded[Event]) -> list[Recorded[Event]]:
    """What the same command recorded before an event, be it more than a page: an app may have had many domains."""
    found: list[Recorded[Event]] = []
    end = told.position - 1
    while end > 0:
        start = max(0, end - PAGE)
        page = list(takewhile(lambda event: same(event, told), reversed(log.read(start, end - start))))
        found[:0] = reversed(page)
        if len(page) < end - start:
            break
        end = start
    return found


def behind(log: EventLog, told: Recorded[Event]) -> list[Recorded[Event]]:
    """What it recorded after that."""
    found: list[Recorded[Event]] = []
    while page := list(takewhile(lambda event: same(event, told), log.read(told.position + len(found), PAGE))):
        found += page
    return found


def same(one: Recorded[Event], other: Recorded[Event]) -> bool:
    """Whether one command recorded both; a service records one command in a story, in one append."""
    return not one.causationid and (one.source, one.correlationid) == (other.source, other.correlationid)


def state_before(log: EventLog, position: int, app: str) -> State:
    """What configsvc knew of an app before the event at `position`.

    Only what names the app is decoded: a log may be long, and whoever asked waits.
    """
    state, after = State(), 0
    while app and after < position - 1:
        page = log.rows(after, min(READ, position - 1 - after))
        for row in page:
            if app in row[DATA]:
                state.evolve(chain.recorded(row))
        after = page[-1][0]
        time.sleep(0)  # others have a turn
    return state
