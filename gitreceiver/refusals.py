"""What a known key, or the local user, asked for and was refused: recorded, and never so often as to fill the disk.

The first refusal of a key is recorded at once. Those within the minute after it are counted, and recorded as one event
when the minute is over, or when the process is told to stop. The answer does not wait for that; a process that is
killed loses what it has counted in that minute.

In an empty log none is recorded, as an import asks for that: who gave it a wrong passphrase must be able to try again.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from cli.dispatch import Denied
from cli.parsing import NotACommand, harmless
from cli.table import Command
from services.chain import Cause, Draft, uuid7
from services.errors import BadInput, NoSuchApp, PushlogError, Refused, Unavailable
from services.eventlog import EventLog
from services.events import AUDIT, CommandRefused

log = logging.getLogger("pushlog")

MINUTE = 60.0
AGAIN = 5.0
LONGEST = 500
"""Characters of a command line, and of a reason, that are kept."""


@dataclass
class Counted:
    """Refusals of one key that are not recorded yet, with the last one's cause and reason."""

    cause: Cause
    reason: str
    count: int = 0
    id: str = field(default_factory=uuid7)


class Refusals:
    """Takes in refusals by any thread; one thread at a time records them. `clock` is monotonic, in seconds."""

    def __init__(self, log: EventLog, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._counted: dict[str, Counted] = {}
        self._quiet_until: dict[str, float] = {}
        self._came = threading.Condition()
        self._recording = threading.Lock()

    def add(self, cause: Cause, reason: str) -> None:
        """Note that what `cause` asked for was refused for `reason`, in which no secret stands."""
        short = replace(cause, command=cut(cause.command))
        with self._came:
            counted = self._counted.setdefault(cause.actor, Counted(short, ""))
            counted.cause, counted.reason, counted.count = short, cut(reason), counted.count + 1
            self._came.notify_all()

    def record(self) -> float | None:
        """Record what is due; returns in how many seconds more is, None when nothing waits. Raises Unavailable."""
        with self._recording:
            return self._record()

    def record_all(self) -> None:
        """Record what is counted, as the process ends: no minute is waited for. Raises Unavailable."""
        with self._recording:
            self._quiet_until.clear()
            self._record()

    def _record(self) -> float | None:
        empty = self._log.head().position == 0
        with self._came:
            if empty:
                self._counted.clear()
            now = self._clock()
            self._quiet_until = {actor: until for actor, until in self._quiet_until.items() if until > now}
            due = {actor: one for actor, one in self._counted.items() if actor not in self._quiet_until}
        for actor, one in due.items():
            with self._came:
                told = CommandRefused(reason=one.reason, count=one.count)
                cause = one.cause
            self._log.append([Draft(AUDIT, actor.partition(" ")[0], told, one.id)], cause)
            with self._came:
                self._quiet_until[actor] = now + MINUTE
                one.count -= told.count  # more came while this was recorded
                one.id = uuid7()
                if not one.count:
                    del self._counted[actor]
        with self._came:
            return min((self._quiet_until.get(actor, now) - now for actor in self._counted), default=None)

    def run(self) -> None:
        """Record for ever. While the log does not answer, what comes is counted."""
        while True:
            try:
                rest = self.record()
            except Unavailable as error:
                log.warning("refusals wait for the log: %s", error)
                time.sleep(AGAIN)
                continue
            with self._came:
                self._came.wait_for(self._any_due, rest)

    def _any_due(self) -> bool:
        return not self._counted.keys() <= self._quiet_until.keys()


def counts(command: Command | None, error: PushlogError) -> bool:
    """Whether an error is a refusal that is kept: no permission, no such command, or a change that was not made.

    A part that does not answer refuses nothing, and what a look at the state misses harms nobody.
    """
    if isinstance(error, Denied | NotACommand):
        return True
    changes = command is not None and (command.records or command.needs == "admin")
    return changes and isinstance(error, BadInput | NoSuchApp | Refused)


def sentence(argv: Sequence[str], error: PushlogError) -> str:
    """A refusal's reason as it may be kept."""
    if isinstance(error, NotACommand):
        return "there is no such command"
    return harmless(argv, str(error), kept=True).splitlines()[0]


def cut(text: str) -> str:
    """The text, cut at LONGEST characters."""
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
