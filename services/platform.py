"""The composition root's shared part: what every service of a process is given."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.blobs import Blobs, Outputs
from services.chain import Cause, Draft, Head
from services.claims import Claims
from services.eventlog import PAGE, EventLog, Lease
from services.events import Event, Recorded
from services.keyring import Keyring
from services.projections import Projections
from services.settings import Settings


class RingingLog:
    """A log that rings after each append, off its path: `ring` is given what was recorded and must not block."""

    def __init__(self, log: EventLog, ring: Callable[[list[Recorded[Event]]], None]) -> None:
        self._log = log
        self._ring = ring

    def append(
        self,
        drafts: Sequence[Draft],
        cause: Cause,
        *,
        expect: Mapping[str, int] | None = None,
        claim: Lease | None = None,
        lease: Lease | None = None,
    ) -> list[Recorded[Event]]:
        """See EventLog.append."""
        recorded = self._log.append(drafts, cause, expect=expect, claim=claim, lease=lease)
        self._ring(recorded)
        return recorded

    def read(self, after: int = 0, limit: int = PAGE) -> list[Recorded[Event]]:
        """See EventLog.read."""
        return self._log.read(after, limit)

    def head(self) -> Head:
        """See EventLog.head."""
        return self._log.head()

    def renew(self, lease: Lease) -> bool:
        """See EventLog.renew."""
        return self._log.renew(lease)

    def leases(self) -> dict[str, tuple[Lease, int]]:
        """See EventLog.leases."""
        return self._log.leases()

    def drop_leases(self) -> None:
        """See EventLog.drop_leases."""
        self._log.drop_leases()


@dataclass(frozen=True)
class Platform:
    """One process's parts. Every service of the process folds through the same `projections`."""

    settings: Settings
    log: EventLog
    projections: Projections
    blobs: Blobs
    outputs: Outputs
    keyring: Keyring
    claims: Claims


def assemble(
    settings: Settings,
    log: EventLog,
    keyring: Keyring,
    holder: str,
    monotonic: Callable[[], float] = time.monotonic,
) -> Platform:
    """The parts of a process around an open log."""
    return Platform(
        settings=settings,
        log=log,
        projections=Projections(log),
        blobs=Blobs(settings.home / "blobs"),
        outputs=Outputs(settings.home / "output", settings.build_output_limit),
        keyring=keyring,
        claims=Claims(log, holder, settings.lease, monotonic),
    )
