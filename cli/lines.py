"""How one record of a stream reads as a line of text."""

from collections.abc import Callable
from typing import Any

from cli.values import Record
from services.terminal import visible


def log_line(record: Record) -> str:
    """A line that a process said, with when and which. The text is as the app wrote it, colours and all."""
    return f"{record['time']} app[{record['process']}]: {record['text']}"


def bare_log_line(record: Record) -> str:
    """A line as the process said it."""
    return str(record["text"])


def event_line(event: Record) -> str:
    """A CloudEvent on one line: position, time to the second, type, subject, actor, and what its data comes to."""
    time = f"{event['time'][:19]}Z"
    fields = f"{event['position']:>6}  {time}  {event['type']:<17}  {event['subject']}  {event['actor']}"
    detail = event_detail(event["data"])
    if event["type"] == "command.refused":  # which one is the point of it
        detail = f"{event['command']}: {detail}"
    return visible(f"{fields}  {detail}".rstrip())


def draft_line(draft: Record) -> str:
    """An event that would be recorded: type, subject, and what its data comes to."""
    return visible(f"{draft['type']:<17}  {draft['subject']}  {event_detail(draft['data'])}".rstrip())


def event_detail(data: Record) -> str:
    """The short of an event's data. Config shows as its keys alone."""
    told = [tell(data[key]) for key, tell in DETAILS.items() if data.get(key)]
    return ", ".join(text for text in told if text)


def _joined(values: list[str]) -> str:
    return " ".join(values)


def _counts(formation: dict[str, int]) -> str:
    return " ".join(f"{process}={count}" for process, count in sorted(formation.items()))


DETAILS: dict[str, Callable[[Any], str]] = {
    "number": lambda number: f"v{number}",
    "release": lambda number: f"v{number}",
    "attempt": lambda attempt: f"attempt {attempt}" if attempt > 1 else "",
    "change": str,
    "ref": str,
    "new": lambda commit: str(commit)[:8],
    "commit": lambda commit: str(commit)[:8],
    "buildpack": str,
    "set": lambda pairs: "set " + _joined(sorted(pairs)),
    "unset": lambda keys: "unset " + _joined(keys),
    "formation": _counts,
    "host": str,
    "hosts": _joined,
    "fingerprint": str,
    "reason": str,
    "count": lambda count: f"{count} times" if count > 1 else "",
    "keys": lambda keys: f"{keys} data {'key' if keys == 1 else 'keys'}",
    "restored": lambda image: f"as {image[7:19]}",
    "addresses": _joined,
}
"""A field of an event's data → how it is told; the order is that of the line."""
