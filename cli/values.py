"""What a command returns: plain values. cli/render.py alone turns them into text or JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.disk import human

Record = Mapping[str, Any]
"""One JSON object, as an RPC or the log gave it."""
Batches = Iterable[Sequence[Record]]
"""Records as they come, perhaps for ever: in each item those that are there at once."""


class Bytes(int):
    """A number of bytes: a number in JSON, and for people `1.5 GiB`."""

    def __str__(self) -> str:
        return human(int(self))


class Word(str):
    """A word that is whole in JSON, and for people `short`."""

    short: str

    def __new__(cls, whole: str, short: str) -> "Word":
        word = super().__new__(cls, whole)
        word.short = short
        return word

    def __str__(self) -> str:
        return self.short


@dataclass(frozen=True, slots=True)
class Listing:
    """A table. `columns` are those that text shows: a key of the rows, and how its value is written (`"v{}"`)."""

    title: str
    rows: Sequence[Record]
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Keys and values, shown sorted. `title` is the section's."""

    title: str
    pairs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Formation:
    """How many of each process type an app has."""

    app: str
    quantities: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reports:
    """`noun:report` of one or more apps: app → flag name (such as `domains-app-vhosts`) → value.

    `flag` (with its dashes) asks for one bare value.
    """

    noun: str
    apps: Mapping[str, Mapping[str, str]]
    flag: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Text as it is. A line that has no end gets one. `exact`: see Context.write."""

    text: str
    exact: bool = False


@dataclass(frozen=True, slots=True)
class LogLines:
    """What an app's processes said, line by line; `bare` without time and process."""

    batches: Batches
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Events:
    """CloudEvents."""

    batches: Batches


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The events that a command would record first: `type`, `stream`, `subject` and `data` of each."""

    events: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Proof:
    """What was looked at holds, or does not: one sentence, and what was found.

    JSON where nobody looks on, unless text was asked for.
    """

    holds: bool
    said: str
    found: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of an app, of these types (`release.created`, `release.*`), by an actor, since and until when.

    `since` and `until` are positions (those after the one, up to the other) or times. `last` is how many at the end,
    None: all; with `tail` it goes on with what happens.
    """

    app: str | None = None
    types: Sequence[str] = ()
    actor: str | None = None
    since: int | datetime | None = None
    until: int | datetime | None = None
    last: int | None = None
    tail: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """Something was done. `correlation` names what it set in motion, to be followed until its end.

    An empty message: what there was to say is said already.
    """

    message: str
    details: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    correlation: str | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """Nothing to say but an exit code."""

    number: int


Value = Listing | Pairs | Formation | Reports | Text | LogLines | Events | Rehearsed | Proof | Done | Code


def changed(message: str, answer: Record, details: Mapping[str, str] | None = None) -> Done:
    """What a change of an app's desired state came to; `answer` is configsvc's: release, correlation, changed."""
    release, correlation = answer["release"], answer["correlation"]
    if not answer["changed"]:
        notes = ["Nothing changed by that"]
    else:
        notes = [f"Recorded as v{release}, not deployed"] if release is not None and correlation is None else []
    return Done(message, details or {}, notes, correlation)
