"""Hops: what a service does because of an event, level-triggered, and what it does when it starts.

`@on(PushReceived, until=…)` names a hop's trigger and what ends it. A message is a doorbell: what is to be done is read
from the log.
"""

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import eventlet
from nameko.events import EventHandler
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import Entrypoint
from nameko.standalone.events import get_event_exchange

from services.bells import Bell
from services.broker import lasting_queue
from services.bus import platform_of
from services.consumers import Consumers
from services.errors import PushlogError, Unavailable
from services.events import Event, Recorded
from services.platform import Platform
from services.todo import Pending

log = logging.getLogger("pushlog")

LOOK = 30.0
BACK_OFF = (0.5, 1, 2, 5, 10, 30)

F = TypeVar("F", bound=Callable[..., Any])


class On(EventHandler):
    """A hop: does the method once for each event of a type until an event of `until` is recorded as its effect.

    The message only makes it look at what is pending; so does the start, and a timer. Items of one app go one after the
    other in the log's order unless `ordered` is false, at most `limit` at once over all. One that fails is tried again
    after a growing pause. A hop without `until` mends the world rather than records: it is done when its method
    returned, and its service mends the rest at start. An app's end ends what it asks for: a method that finds the app
    gone just returns.
    """

    queue_consumer = Consumers()
    bell = Bell()

    def __init__(
        self,
        event: type[Event],
        until: Collection[type[Event]] = (),
        when: Callable[[Event], bool] | None = None,
        limit: int | Callable[[Platform], int] = 4,
        settled: Collection[type[Event]] = (),
        ordered: bool = True,
    ) -> None:
        super().__init__(event.EMITTER, event.TYPE, expected_exceptions=PushlogError)
        self.event = event
        self.until = tuple(until)
        self.when = when
        self.settled = tuple(settled)
        self.ordered = ordered
        self.limit = limit

    def setup(self) -> None:
        """Declare the queue: named after service and event, so that renaming a method orphans nothing."""
        self._platform = platform_of(self.container)
        self._limit = self.limit if isinstance(self.limit, int) else self.limit(self._platform)
        self._pending = Pending(self.event, self.until, self.when, self.settled)
        self._running: set[str] = set()
        self._failures: dict[str, tuple[int, float]] = {}
        self._platform.projections.add(self._pending)
        if not self.until:
            self._platform.projections.catch_up()
            self._pending.items.clear()
        self.queue = lasting_queue(
            self.container.config["AMQP_URI"],
            f"{self.container.service_name}.on.{self.event.TYPE}",
            get_event_exchange(self.event.EMITTER, self.container.config),
            self.event.TYPE,
        )
        self.queue_consumer.register_provider(self)

    def start(self) -> None:
        """Look at what is pending from now on."""
        self.container.spawn_managed_thread(self._look, identifier=f"on {self.event.TYPE}")

    def handle_message(self, body: Any, message: Any) -> None:
        """A doorbell: acknowledged at once, because the log is what counts."""
        self.queue_consumer.ack_message(message)
        self._platform.projections.wake()

    def _look(self) -> None:
        projections, turn = self._platform.projections, -1
        while True:
            for event in self._due():
                self._begin(event)
            turn = projections.wait(turn, LOOK)

    def _due(self) -> list[Recorded[Event]]:
        now = monotonic()
        self._failures = {e: failure for e, failure in self._failures.items() if e in self._pending.items}
        pending = self._pending.heads() if self.ordered else list(self._pending.items.values())
        ready = [e for e in pending if e.id not in self._running and self._failures.get(e.id, (0, now))[1] <= now]
        return ready[: max(0, self._limit - len(self._running))]

    def _begin(self, event: Recorded[Event]) -> None:
        self._running.add(event.id)
        try:
            self.container.spawn_worker(self, (event,), {}, handle_result=partial(self._ended, event))
        except ContainerBeingKilled:
            self._running.discard(event.id)

    def _ended(self, event: Recorded[Event], worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        """Not done means again later: whether the method raised, or returned because another holder has the work."""
        if exc_info is None:
            if not self.until:
                self._pending.items.pop(event.id, None)
            with suppress(Unavailable):  # then it counts as not done, and is looked at again
                self._platform.projections.catch_up()
        else:
            log.warning("%s of %s: %s", self.queue.name, event.subject, exc_info[1])
        self._running.discard(event.id)
        if event.id in self._pending.items:
            tries = self._failures.get(event.id, (0, 0.0))[0]
            self._failures[event.id] = tries + 1, monotonic() + pause(tries)
            eventlet.spawn_after(pause(tries), self._platform.projections.wake)
        else:
            self._platform.projections.wake()
        return result, exc_info


def on(
    event: type[Event],
    until: Collection[type[Event]] = (),
    when: Callable[[Any], bool] | None = None,
    limit: int | Callable[[Platform], int] = 4,
    settled: Collection[type[Event]] = (),
    ordered: bool = True,
) -> Callable[[F], F]:
    """Declare a method as a hop (see On and Pending): what triggers it, what ends it, and how many at once."""
    declare: Callable[[F], F] = On.decorator(
        event, until=until, when=when, limit=limit, settled=settled, ordered=ordered
    )
    return declare


class AtStart(Entrypoint):
    """A method that runs when its service has started; should it fail, it runs again after a pause.

    The pause grows with each failure, until the method has run for a good while.
    """

    def __init__(self) -> None:
        super().__init__(expected_exceptions=PushlogError)

    def start(self) -> None:
        """Begin it."""
        self._tries = 0
        self._begin()

    def _begin(self) -> None:
        self._began = monotonic()
        with suppress(ContainerBeingKilled):
            self.container.spawn_worker(self, (), {}, handle_result=self._ended)

    def _ended(self, worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        if exc_info is not None:
            log.warning("%s.%s: %s", self.container.service_name, self.method_name, exc_info[1])
            self._tries = 0 if monotonic() - self._began > max(BACK_OFF) else self._tries
            eventlet.spawn_after(pause(self._tries), self._begin)
            self._tries += 1
        return result, exc_info


def at_start(method: F) -> F:
    """Declare a method as one that runs when its service has started, perhaps for as long as that runs."""
    declared: F = AtStart.decorator(method)
    return declared


def pause(tries: int) -> float:
    """Seconds before what failed `tries` times before is tried again."""
    return BACK_OFF[min(tries, len(BACK_OFF) - 1)]
