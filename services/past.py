"""What only a log gives: any state that ever was, the events that a command would record, and proof of both.

A view is a service's ports over a log that ends earlier (`--at`), or over one that tells what it was to record instead
of recording it (`--dry-run`). Nothing that is given a view knows that it is one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from importlib import import_module
from typing import Any, NoReturn, Protocol, TypeVar, cast

from pydantic import BaseModel

from services import chain
from services.chain import Cause, Draft, Head
from services.errors import BrokenLog, Refused, WouldRecord
from services.eventlog import PAGE, EventLog, check_chain
from services.events import Event, Recorded, without_secrets
from services.platform import Platform
from services.projections import Projections

Ports = TypeVar("Ports")
Json = dict[str, Any]

NOTHING = "(nothing)"


class Until:
    """A log that ends at the position `last`, to read only."""

    def __init__(self, log: EventLog, last: int) -> None:
        self._log = log
        self._last = last

    def read(self, after: int = 0, limit: int = PAGE) -> list[Recorded[Event]]:
        """See EventLog.read."""
        limit = min(limit, self._last - after)
        return self._log.read(after, limit) if limit > 0 else []

    def rows(self, after: int = 0, limit: int = PAGE) -> list[chain.Row]:
        """See EventLog.rows."""
        limit = min(limit, self._last - after)
        return self._log.rows(after, limit) if limit > 0 else []

    def head(self) -> Head:
        """See EventLog.head."""
        last = self.rows(self._last - 1, 1) if self._last else []
        return Head(last[0][0], last[0][-1]) if last else Head(0, chain.GENESIS)

    def append(self, drafts: Sequence[Draft], cause: Cause, **checks: Any) -> NoReturn:
        """Refuse: what was, was."""
        raise Refused("--at: the past cannot be changed; run it without")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class Rehearsal:
    """A log that reads as the real one. What is appended first is told by WouldRecord, and not recorded."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def append(self, drafts: Sequence[Draft], cause: Cause, **checks: Any) -> NoReturn:
        """Raise WouldRecord with the drafts as JSON, secrets masked."""
        raise WouldRecord(json.dumps([told(draft) for draft in drafts]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def told(draft: Draft) -> Json:
    """What is to be known of an event before it is recorded, as JSON."""
    data = without_secrets(draft.event)
    return {"type": draft.event.TYPE, "stream": draft.stream, "subject": draft.subject, "data": data}


def view(ports: Ports, build: Callable[[Platform], Ports], platform: Platform, asked: Mapping[str, Any]) -> Ports:
    """The `ports` that a question is answered with: these, or a view of them if it asks for one.

    `asked` may hold `at`, a position, or `dry`.
    """
    if (at := asked.get("at")) is not None:
        log = cast(EventLog, Until(platform.log, int(at)))
        return build(replace(platform, log=log, projections=Projections(log), endings=[]))
    if asked.get("dry"):
        return replace(ports, log=Rehearsal(platform.log))  # type: ignore[type-var]
    return ports


def plain(value: Any) -> Any:
    """A part of a state as JSON knows it; an event without its place in the log is its data."""
    match value:
        case Recorded():
            return {"position": value.position, **plain(value.data)}
        case BaseModel():
            return value.model_dump(mode="json")
        case dict():
            return {key if isinstance(key, str) else repr(plain(key)): plain(part) for key, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case set() | frozenset():
            return sorted(repr(plain(part)) for part in value)
    if is_dataclass(value):
        return {name: plain(part) for name, part in vars(value).items()}
    return value


def digest(value: Any) -> str:
    """The SHA-256 of a part of a state, the same in every process that folded the same events."""
    return hashlib.sha256(chain.canonical(plain(value)).encode()).hexdigest()


def look(state: Any, path: Sequence[str], position: int) -> Json:
    """The digest of the part of a state at `path`, and those of its own parts: so two states can be compared afar."""
    part = plain(state)
    for key in path:
        part = part.get(key, NOTHING) if isinstance(part, dict) else NOTHING
    parts = part if isinstance(part, dict) else {}
    return {"position": position, "digest": digest(part), "parts": {key: digest(value) for key, value in parts.items()}}


class Folded(Protocol):
    """Ports of any service."""

    @property
    def projections(self) -> Projections: ...

    @property
    def state(self) -> Any: ...


def answer(ports: Folded, path: Sequence[str]) -> Json:
    """`look` at what a service knows by now."""
    position = ports.projections.catch_up()
    return look(ports.state, path, position)


Look = Callable[[Sequence[str]], Mapping[str, Any]]


def difference(live: Look, again: Look) -> str | None:
    """Where two states differ first, by the way there (`apps.<uuid>.config.KEY`); None where they are equal."""
    path: list[str] = []
    while True:
        ours, theirs = again(path), live(path)
        if ours["digest"] == theirs["digest"]:
            return None
        names = sorted(ours["parts"].keys() | theirs["parts"].keys())
        found = next((name for name in names if ours["parts"].get(name) != theirs["parts"].get(name)), None)
        if found is None:
            return ".".join(path) or "the whole"
        path.append(found)


def states(services: Sequence[str]) -> dict[str, Any]:
    """A fresh state of each service, to be fed."""
    return {name: import_module(f"{name}.state").State() for name in services}


def replay(log: EventLog, states: Mapping[str, Any], after: int, until: int) -> Iterator[int]:
    """Feed the states what stands after `after`, through `until`; yields how far it is, page by page."""
    while after < until and (page := log.read(after, min(PAGE, until - after))):
        for event in page:
            for state in states.values():
                state.evolve(event)
        after = page[-1].position
        yield after


@dataclass
class Check:
    """What `verify` found by now: how far the chain is right, and what is wrong after that, if anything is."""

    head: Head = field(default_factory=lambda: Head(0, chain.GENESIS))
    wrong: str | None = None
    bad: int | None = None


def verify(log: EventLog, known: Head | None = None) -> Iterator[Check]:
    """Follow the chain from the first event; yields how far it is, page by page, and last the whole truth.

    `known` is a head that was noted elsewhere: a log that was cut off, or written anew from some event on, shows only
    against that.
    """
    check, end = Check(), log.head()
    while check.wrong is None and (page := log.rows(check.head.position, PAGE)):
        for row in page:
            if fault := wrong(row, check.head, end, known):
                check.wrong, check.bad = fault, check.head.position + 1
                break
            check.head = Head(row[0], row[-1])
        yield check
    last = check.head.position
    if check.wrong is None and last < end.position:
        check.wrong, check.bad = f"the log has no event {last + 1}", last + 1
    elif check.wrong is None and last > (now := log.head().position):  # looked at again: it may have grown
        check.wrong, check.bad = f"the log's head is {now}, but its last event is {last}", now + 1
    elif check.wrong is None and known and known.position > last:
        check.wrong, check.bad = f"the log ends at {last}, before the head that was noted, {known.position}", last + 1
    yield check


def wrong(row: chain.Row, before: Head, end: Head, known: Head | None) -> str | None:
    """What is wrong with the row after `before`, whose log said that it ends with `end`; None when it is right."""
    try:
        check_chain([row], before)
        chain.recorded(row)
    except BrokenLog as error:
        return str(error)
    if known and row[0] == known.position and row[-1] != known.hash:
        return f"the log's event {row[0]} is not the one of the head that was noted"
    if row[0] == end.position and row[-1] != end.hash:
        return f"the log's event {row[0]} is not the one that its head names"
    return None
