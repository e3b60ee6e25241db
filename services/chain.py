"""How an event becomes a row: ids, canonical bytes and the hash that chains each event to the one before."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from services.errors import BrokenLog
from services.events import Event, Recorded, decode, key_stream

GENESIS = "0" * 64
PAGE = 250
"""Events that are read or written at once: 1,000 of them, decoded, are more than a processor's cache holds, and take a
fifth longer."""
LARGE = 4 << 20
"""Characters of data that end a page of a log that is written as a whole."""


def uuid7() -> str:
    """A fresh UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, then random bits."""
    drawn = os.urandom(10)
    begins, text = f"{time.time_ns() // 1_000_000:012x}", drawn.hex()
    return f"{begins[:8]}-{begins[8:]}-7{text[1:4]}-{'89ab'[drawn[2] >> 6]}{text[5:8]}-{text[8:]}"


def now() -> str:
    """The present time as it stands in the log: RFC 3339, UTC, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Draft:
    """An event to be appended, and the stream it belongs to. `subject` is the app's name, or what it is about."""

    stream: str
    subject: str
    event: Event
    id: str = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is appended: the service that does it, who asked for it from where, and what it follows from.

    `command` is the command line with secrets masked. `correlationid` names the whole story (one push, one command),
    `causationid` the event that asked for this one. `key_version` is the version of the asker's key's stream when they
    asked, and not recorded: what a command records is refused when that key was removed since.
    """

    source: str
    actor: str
    origin: str = ""
    command: str = ""
    correlationid: str = ""
    causationid: str = ""
    key_version: int = 0

    @property
    def authority(self) -> dict[str, int]:
        """What an append for this asker expects beside what was decided on."""
        return {key_stream(self.actor.partition(" ")[2]): self.key_version} if self.key_version else {}

    @classmethod
    def after(cls, source: str, trigger: Recorded[Event]) -> "Cause":
        """The cause of what `source` records because of `trigger`: the same asker, command and story."""
        return cls(source, trigger.actor, trigger.origin, trigger.command, trigger.correlationid, trigger.id)

    def by(self, source: str) -> "Cause":
        """The same cause, as recorded by `source`."""
        return replace(self, source=source)


class Head(NamedTuple):
    """The end of the log: the last position (0: empty) and its hash."""

    position: int
    hash: str


COLUMNS = (
    "position",
    "id",
    "stream",
    "version",
    "type",
    "schema",
    "source",
    "subject",
    "time",
    "actor",
    "origin",
    "command",
    "correlationid",
    "causationid",
    "data",
)
"""A row's hashed columns in canonical order; `hash` follows them."""

Row = tuple[Any, ...]


_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> str:
    """JSON in one possible spelling: sorted keys, no spaces, no escapes beyond JSON's own."""
    return _encoder.encode(value)


def row_hash(before: str, row: Row) -> str:
    """The hash of a row (without its own hash) that follows the event with the hash `before`."""
    return hashlib.sha256(f"{before}\n{canonical(list(row))}".encode()).hexdigest()


def make_rows(head: Head, versions: dict[str, int], drafts: Sequence[Draft], cause: Cause, time: str) -> Iterator[Row]:
    """The rows that `drafts` become after `head`, hash last. `versions` holds each stream's version and is advanced.

    What is appended together is one story: without a correlation id it is called after its first event.
    """
    position, before = head
    story = cause.correlationid or drafts[0].id
    for draft in drafts:
        position += 1
        versions[draft.stream] = versions.get(draft.stream, 0) + 1
        row: Row = (
            position,
            draft.id,
            draft.stream,
            versions[draft.stream],
            draft.event.TYPE,
            draft.event.SCHEMA,
            cause.source,
            draft.subject,
            time,
            cause.actor,
            cause.origin,
            cause.command,
            story,
            cause.causationid,
            canonical(draft.event.model_dump(mode="json")),
        )
        before = row_hash(before, row)
        yield (*row, before)


def checked_pages(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows of a whole log in pages, each of which follows from the one before. Raises BrokenLog."""
    before = Head(0, GENESIS)
    for page in _pages(rows):
        check_chain(page, before)
        before = Head(page[-1][0], page[-1][-1])
        yield page


def _pages(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """At most PAGE rows at once, and fewer of large ones."""
    page, size = list[Row](), 0
    for row in rows:
        page.append(row)
        size += len(row[14])
        if len(page) == PAGE or size > LARGE:
            yield page
            page, size = [], 0
    if page:
        yield page


def check_chain(rows: Iterable[Row], before: Head) -> None:
    """Raise BrokenLog naming the first of `rows` whose position or hash does not follow from the one before it.

    `before` is the event before the first row; Head(0, GENESIS) where the log begins.
    """
    for row in rows:
        if row[0] != before.position + 1:
            raise BrokenLog(f"the log has no event {before.position + 1}")
        if row_hash(before.hash, row[:-1]) != row[-1]:
            raise BrokenLog(f"the log's event {row[0]} was changed: its hash does not follow from the one before")
        before = Head(row[0], row[-1])


def recorded(row: Row, event: Event | None = None) -> Recorded[Event]:
    """The event of a stored row, whose data is `event` where that is known.

    Raises BrokenLog for what this Pushlog does not know.
    """
    data = decode(row[4], row[5], row[14]) if event is None else event
    return tuple.__new__(Recorded, (*row[:14], data, row[15]))  # what _make does, for half the time
