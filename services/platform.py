"""The composition root's shared part: what every service of a process is given."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from services.blobs import Blobs, Outputs
from services.chain import Cause, Draft
from services.claims import Claims
from services.eventlog import EventLog
from services.events import Event, Recorded
from services.keyring import Keyring
from services.processes import Processes
from services.projections import Projections
from services.settings import Settings
from services.snapshots import Snapshots
from services.sources import Sources


class RingingLog:
    """A log that rings after each append, off its path: `ring` is given what was recorded and must not block."""

    def __init__(self, log: EventLog, ring: Callable[[list[Recorded[Event]]], None]) -> None:
        self._log = log
        self._ring = ring

    def append(self, drafts: Sequence[Draft], cause: Cause, **checks: Any) -> list[Recorded[Event]]:
        """See EventLog.append."""
        recorded = self._log.append(drafts, cause, **checks)
        self._ring(recorded)
        return recorded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def ringing(log: EventLog, ring: Callable[[list[Recorded[Event]]], None]) -> EventLog:
    """`log`, with a ring after each append."""
    return cast(EventLog, RingingLog(log, ring))


@dataclass(frozen=True)
class Platform:
    """One process's parts. Every service of the process folds through the same `projections`.

    `endings` are called, one after the other, when the process was told to stop and its sessions have ended.
    """

    settings: Settings
    log: EventLog
    projections: Projections
    blobs: Blobs
    sources: Sources
    outputs: Outputs
    keyring: Keyring
    claims: Claims
    processes: Processes | None = None
    endings: list[Callable[[], None]] = field(default_factory=list)


def assemble(
    settings: Settings,
    log: EventLog,
    keyring: Keyring,
    holder: str,
    monotonic: Callable[[], float] = time.monotonic,
    processes: Processes | None = None,
    snapshots: Snapshots | None = None,
) -> Platform:
    """The parts of a process around an open log; without `processes` it is the instance's only one."""
    return Platform(
        settings=settings,
        log=log,
        projections=Projections(log, snapshots),
        blobs=Blobs(settings.home / "blobs"),
        sources=Sources(settings.home / "blobs" / "sources"),
        outputs=Outputs(settings.home / "output", settings.build_output_limit),
        keyring=keyring,
        claims=Claims(log, holder, settings.lease, monotonic, settings.alone),
        processes=processes,
    )
