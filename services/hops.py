"""Hops: what a service does because of an event, level-triggered, and what it does when it starts.

`@on(PushReceived, until=…)` names a hop's trigger and what ends it. A message is a doorbell: what is to be done is read
from the log.
"""

import logging
import os
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

from services.agenda import BACK_OFF, Agenda
from services.bells import Bell
from services.broker import lasting_queue
from services.bus import platform_of
from services.chain import Draft
from services.consumers import Consumers
from services.decide import give_up
from services.errors import PushlogError, Unavailable
from services.events import AppEvent, Event, Recorded
from services.platform import Platform
from services.todo import Pending

log = logging.getLogger("pushlog")


F = TypeVar("F", bound=Callable[..., Any])


GiveUp = Callable[[Recorded[Any], int, str], Draft]
"""(trigger, how often it was claimed, why it failed) → the failure that is recorded as its outcome."""


class On(EventHandler):
    """A hop: does the method once for each event of a type until an event of `until` is recorded as its effect.

    The message only makes it look at what is pending; so does the start, and a timer. Items of one app go one after the
    other in the log's order unless `ordered` is false, at most `limit` at once over all. One that fails is tried again
    after a growing pause; after TRIES failures in a row, or MAX_ATTEMPTS claims, what `gives_up` makes of it is
    recorded, and the app's next item goes on. While the log does not answer nothing counts as the work's failure. A
    method that returns before the time for its item has come gives its place back: it is called again after an event
    of `news` about the app, and after a while in any case.

    A hop without `until` mends the world rather than records: it is done when its method returned. One that fails is
    tried again for as long as the process lives, at most every 30 s in the end; what a process that ended left is found
    by the service's mend, which compares the world with the log. An app's end ends what it asks for: a method that
    finds the app gone just returns.
    """

    queue_consumer = Consumers()
    bell = Bell()

    def __init__(
        self,
        event: type[Event],
        until: Collection[type[Event]] = (),
        gives_up: GiveUp | None = None,
        when: Callable[[Event], bool] | None = None,
        limit: int | Callable[[Platform], int] = 4,
        settled: Collection[type[Event]] = (),
        ordered: bool = True,
        news: Collection[type[AppEvent]] = (),
    ) -> None:
        if until and not gives_up:
            raise TypeError(f"a hop that waits for an outcome of {event.TYPE} says what it gives up with")
        super().__init__(event.EMITTER, event.TYPE, expected_exceptions=Exception)  # they are logged here, once
        self.event = event
        self.until = tuple(until)
        self.gives_up = gives_up
        self.when = when
        self.settled = tuple(settled)
        self.ordered = ordered
        self.news = tuple(news)
        self.limit = limit

    def setup(self) -> None:
        """Declare the queue: named after service and event, so that renaming a method orphans nothing."""
        self._platform = platform_of(self.container)
        limit = self.limit if isinstance(self.limit, int) else self.limit(self._platform)
        self._pending = Pending(self.event, self.until, self.when, self.settled, self.news)
        self._agenda = Agenda(self._pending, self._platform.claims, limit, self._platform.settings.lease, self.ordered)
        self._traced: set[tuple[str, type]] = set()
        name = f"{self.container.service_name}.on.{self.event.TYPE}"
        if self.until:
            self._platform.projections.add(self._pending, name)
        else:
            self._platform.projections.listen(self._pending)
        self.queue = lasting_queue(
            self.container.config["AMQP_URI"],
            name,
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
            try:
                taken = self._agenda.take()
            except Unavailable as error:
                log.warning("%s waits for the log: %s", self.queue.name, error)
                taken = []
            for event in taken:
                self._begin(event)
            turn = projections.wait(turn, self._agenda.rest())

    def _begin(self, event: Recorded[Event]) -> None:
        try:
            self.container.spawn_worker(self, (event,), {}, handle_result=partial(self._ended, event))
        except ContainerBeingKilled:
            self._agenda.dropped(event)

    def _ended(self, event: Recorded[Event], worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        if exc_info is None and not self.until:
            self._pending.items.pop(event.id, None)
        try:
            self._platform.projections.catch_up()
            answers = True
        except Unavailable:  # then this is no failure of the work, and what it recorded is seen later
            answers = False
        if exc_info is None:
            self._agenda.returned(event)
        else:
            self._failed(event, exc_info, answers)
        self._platform.projections.wake()
        return result, exc_info

    def _failed(self, event: Recorded[Event], exc_info: Any, counts: bool) -> None:
        error, tries = exc_info[1], self._agenda.failed(event, counts)
        fresh = not isinstance(error, PushlogError) and (event.id, type(error)) not in self._traced
        self._traced = {(id_, kind) for id_, kind in self._traced if id_ in self._pending.items}
        if fresh:
            self._traced.add((event.id, type(error)))
        log.warning("%s of %s: %s", self.queue.name, event.subject, error, exc_info=exc_info if fresh else None)
        attempts = self._pending.attempts(event)
        if self.gives_up and counts and event.id in self._pending.items and self._agenda.spent(event):
            reason = f"{sentence(error, self.container.service_name)}; given up after {max(tries, attempts)} tries"
            self._give_up(event, self.gives_up(event, attempts, reason), attempts)

    def _give_up(self, event: Recorded[Event], outcome: Draft, attempts: int) -> None:
        parts, source = self._platform, self.container.service_name
        try:
            if give_up(parts.log, parts.claims, event, outcome, source, attempts):
                log.error("%s of %s is given up", self.queue.name, event.subject)
                parts.projections.catch_up()
        except Unavailable as error:
            log.warning("%s of %s cannot be given up now: %s", self.queue.name, event.subject, error)


def sentence(error: BaseException, service: str) -> str:
    """What is recorded of an error: its own sentence if it is for users, else its kind, as the rest may be secret."""
    if isinstance(error, PushlogError):
        return str(error)
    kind = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
    return f"{service} failed: {kind}; its log says more"


def on(
    event: type[Event],
    until: Collection[type[Event]] = (),
    gives_up: GiveUp | None = None,
    when: Callable[[Any], bool] | None = None,
    limit: int | Callable[[Platform], int] = 4,
    settled: Collection[type[Event]] = (),
    ordered: bool = True,
    news: Collection[type[AppEvent]] = (),
) -> Callable[[F], F]:
    """Declare a method as a hop (see On and Pending): what triggers it, what ends it, and how many at once."""
    declare: Callable[[F], F] = On.decorator(
        event, until=until, gives_up=gives_up, when=when, limit=limit, settled=settled, ordered=ordered, news=news
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
            eventlet.spawn_after(BACK_OFF[min(self._tries, len(BACK_OFF) - 1)], self._begin)
            self._tries += 1
        return result, exc_info


def at_start(method: F) -> F:
    """Declare a method as one that runs when its service has started, perhaps for as long as that runs."""
    declared: F = AtStart.decorator(method)
    return declared
