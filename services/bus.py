"""How services meet: doorbells for recorded events, and RPC with a deadline.

A service's class is a table of contents: `@on(PushReceived, until=…)` names the hop's trigger and what ends it, `@rpc`
a question it answers, `Port(build)` what its handlers are given.
"""

import logging
from collections.abc import Callable, Collection
from functools import partial
from time import monotonic
from typing import Any, Generic, TypeVar

import eventlet
from eventlet.event import Event as Promise
from kombu import Queue
from nameko import exceptions as nameko_exceptions
from nameko.events import EventHandler
from nameko.exceptions import ContainerBeingKilled, RemoteError, UnknownService
from nameko.extensions import DependencyProvider, Entrypoint
from nameko.rpc import Rpc, RpcProxy, ServiceProxy
from nameko.standalone.events import get_event_exchange

from services import errors, inprocess
from services.events import Event, Recorded
from services.platform import Platform
from services.todo import Pending

__all__ = ["Calls", "Doorbell", "On", "Port", "forever", "inprocess", "on", "rpc"]

log = logging.getLogger("pushlog")

POLL = 2.0
QUEUE_LENGTH = 1000
RPC_DEADLINE = 10.0
BACK_OFF = (0.5, 1, 2, 5, 10, 30)

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

for _error in vars(errors).values():
    if isinstance(_error, type) and issubclass(_error, errors.PushlogError):
        nameko_exceptions.deserialize_to_instance(_error)


def platform_of(container: Any) -> Platform:
    """The parts that the runner put into a service's configuration."""
    platform: Platform = container.config["platform"]
    return platform


class Port(DependencyProvider, Generic[T]):
    """What a service's handlers are given: `build(platform)`, made once when the service is set up."""

    def __init__(self, build: Callable[[Platform], T]) -> None:
        self._build = build

    def setup(self) -> None:
        """Build it."""
        self.value = self._build(platform_of(self.container))

    def get_dependency(self, worker_ctx: Any) -> T:
        """The same object for every worker."""
        return self.value


class On(EventHandler):
    """A hop: does the method once for each event of a type until an event of `until` is recorded as its effect.

    The message only makes it look at what is pending; so does the start, and a timer. Items of one app go one after the
    other in the log's order unless `ordered` is false, at most `limit` at once over all. One that fails is tried again after a growing pause. A hop without `until` mends the
    world rather than records: it is done when its method returned, and its service mends the rest at start.
    """

    def __init__(
        self,
        event: type[Event],
        until: Collection[type[Event]] = (),
        when: Callable[[Event], bool] | None = None,
        limit: int | Callable[[Platform], int] = 4,
        settled: Collection[type[Event]] = (),
        ordered: bool = True,
    ) -> None:
        super().__init__(event.EMITTER, event.TYPE)
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
        self.queue = Queue(
            f"{self.container.service_name}.on.{self.event.TYPE}",
            exchange=get_event_exchange(self.event.EMITTER, self.container.config),
            routing_key=self.event.TYPE,
            durable=True,
            max_length=QUEUE_LENGTH,
            queue_arguments={"x-overflow": "drop-head"},
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
        projections, turn = self._platform.projections, 0
        while True:
            projections.catch_up()
            for event in self._due():
                self._begin(event)
            turn = projections.wait(turn, POLL)

    def _due(self) -> list[Recorded[Event]]:
        now = monotonic()
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
        self._running.discard(event.id)
        if exc_info is None and not self.until:
            self._pending.items.pop(event.id, None)
        self._platform.projections.catch_up()
        if event.id in self._pending.items:
            tries = self._failures.get(event.id, (0, 0.0))[0]
            pause = BACK_OFF[min(tries, len(BACK_OFF) - 1)]
            self._failures[event.id] = tries + 1, monotonic() + pause
            eventlet.spawn_after(pause, self._platform.projections.wake)
        else:
            self._failures.pop(event.id, None)
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


class Answer(Rpc):
    """An RPC method; the errors that users see are expected and not logged as faults."""

    def __init__(self) -> None:
        super().__init__(expected_exceptions=errors.PushlogError)


def rpc(method: F) -> F:
    """Declare a method as a question that other services may ask."""
    declared: F = Answer.decorator(method)
    return declared


class Forever(Entrypoint):
    """A method that never returns; should it fail, that is logged and it is begun again after a pause."""

    def start(self) -> None:
        """Begin it."""
        self._begin()

    def _begin(self) -> None:
        self.container.spawn_worker(self, (), {}, handle_result=self._ended)

    def _ended(self, worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        eventlet.spawn_after(BACK_OFF[1], self._begin)
        return result, exc_info


def forever(method: F) -> F:
    """Declare a method as one that runs as long as its service."""
    declared: F = Forever.decorator(method)
    return declared


class Calls(RpcProxy):
    """Gives a worker `call(service, method, **arguments)`, which answers or raises within the deadline."""

    def __init__(self) -> None:
        super().__init__("")

    def get_dependency(self, worker_ctx: Any) -> Callable[..., Any]:
        """The function `call`."""

        def call(service: str, method: str, **arguments: Any) -> Any:
            proxy = ServiceProxy(worker_ctx, service, self.rpc_reply_listener, expiration=RPC_DEADLINE)
            try:
                reply = getattr(proxy, method).call_async(**arguments)
                with eventlet.Timeout(RPC_DEADLINE):
                    return reply.result()
            except eventlet.Timeout:
                raise errors.Unavailable(f"{service} did not answer within {RPC_DEADLINE:.0f} s") from None
            except UnknownService:
                raise errors.Unavailable(f"{service} is not running") from None
            except RemoteError as error:
                raise errors.PushlogError(f"{service} failed: {error.exc_type}; its log says more") from None

        return call


class Doorbell:
    """Publishes `{position, type}` for recorded events from a green thread of its own, never on the append's path."""

    def __init__(self, publish: Callable[[str, str, dict[str, Any]], None]) -> None:
        self._publish = publish
        self._waiting: list[tuple[str, str, int]] = []
        self._bell = Promise()

    def ring(self, recorded: list[Recorded[Event]]) -> None:
        """Have the events announced; drops the oldest beyond a bound, because the log has them."""
        self._waiting = (self._waiting + [(e.source, e.type, e.position) for e in recorded])[-QUEUE_LENGTH:]
        if not self._bell.ready():
            self._bell.send()

    def run(self) -> None:
        """Announce for ever."""
        while True:
            self._bell.wait()
            self._bell = Promise()
            waiting, self._waiting = self._waiting, []
            for source, type_, position in waiting:
                self._publish(source, type_, {"position": position, "type": type_})
