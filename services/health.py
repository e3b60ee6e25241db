"""Whether a process of the platform does well: what it saw when it last looked, and what follows from that."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import sqlalchemy as sa

from services.errors import PushlogError
from services.platform import Platform
from services.settings import Settings
from services.todo import Pending
from services.version import VERSION

STARTING, STANDBY, RUNNING = "starting", "standby", "running"
LOG_PATIENCE, BROKER_PATIENCE, LAG_PATIENCE = 15.0, 60.0, 30.0
"""Seconds for which the log, the broker or the way to the log's head may be missing before the process is unwell."""


class Health:
    """One process's health. `look` asks the log, which may take long; `report` answers at once.

    `hears_broker` tells whether the services hear the broker; None: the bus is in this process. `state`, and in `waits`
    what the start waits for, are set by who starts the services.
    """

    def __init__(
        self,
        settings: Settings,
        services: Sequence[str],
        hears_broker: Callable[[], bool] | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.state = STARTING
        self.waits = ""
        self.services = tuple(services)
        self._database = sa.make_url(settings.database).get_backend_name()
        self._hears_broker = hears_broker
        self._clock = clock
        self._platform: Platform | None = None
        self._head = self._position = 0
        self._pending: dict[str, int] = {}
        self._log_answered = self._broker_heard = self._advanced = clock()
        self._broker = "in-process" if hears_broker is None else "not in use"

    def begin(self, platform: Platform) -> None:
        """The log is open: look at it from now on."""
        self._platform = platform

    def hears_broker(self) -> bool:
        """Whether questions reach the services."""
        return self._hears_broker is None or self._hears_broker()

    def look(self) -> None:
        """Ask the log, and whether the broker is heard."""
        if self._platform:
            self._look_at_log(self._platform)
        if self._hears_broker:
            heard = self.state != RUNNING or self.hears_broker()
            self._broker = ("heard" if heard else "not heard") if self.state == RUNNING else "not in use"
            self._broker_heard = self._clock() if heard else self._broker_heard

    def _look_at_log(self, platform: Platform) -> None:
        try:
            self._head = platform.log.head().position
        except PushlogError:
            return
        now, projections = self._clock(), platform.projections
        self._log_answered = now
        if projections.position != self._position or projections.position >= self._head or self.state != RUNNING:
            self._position, self._advanced = projections.position, now
        counts: Counter[str] = Counter()
        for fold in projections.folds:
            if isinstance(fold, Pending):
                counts[fold.trigger.TYPE] += len(fold.items)
        self._pending = dict(+counts)

    def report(self) -> dict[str, Any]:
        """A JSON-ready mapping without secrets. `reasons` are sentences, none when the process is well."""
        reasons = self._reasons()
        return {
            "status": "unwell" if reasons else "well",
            "reasons": reasons,
            "state": self.state,
            "services": list(self.services),
            "position": self._position,
            "head": self._head,
            "lag": max(0, self._head - self._position) if self.state == RUNNING else None,
            "pending": self._pending,
            "database": self._database,
            "broker": self._broker,
            "node": os.uname().nodename,
            "pid": os.getpid(),
            "version": VERSION,
        }

    def _reasons(self) -> list[str]:
        now, reasons = self._clock(), list[str]()
        if self.state == STARTING:
            reasons.append("it has not started yet" + (f": {self.waits}" if self.waits else ""))
        if (silent := now - self._log_answered) > LOG_PATIENCE:
            reasons.append(f"the log has not answered for {silent:.0f} s")
        if self._broker == "not heard" and (silent := now - self._broker_heard) > BROKER_PATIENCE:
            reasons.append(f"the broker has not been heard for {silent:.0f} s")
        if (stuck := self._log_answered - self._advanced) > LAG_PATIENCE:
            reasons.append(f"its lag behind the log, {self._head - self._position}, has not shrunk for {stuck:.0f} s")
        return reasons
