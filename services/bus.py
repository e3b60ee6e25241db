"""How services meet: RPC with a deadline, and doorbells for recorded events.

A service's class is a table of contents: `@rpc` is a question it answers, `Port(build)` what its handlers are given,
and its hops are declared with services/hops.py.
"""

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import eventlet
from amqp.exceptions import AMQPError  # type: ignore[import-untyped]
from eventlet.event import Event as Promise
from kombu.exceptions import KombuError
from nameko import exceptions as nameko_exceptions
from nameko.exceptions import RemoteError, UnknownService
from nameko.extensions import DependencyProvider
from nameko.rpc import Rpc, RpcProxy, ServiceProxy

from services import errors, inprocess
from services.events import Event, Recorded
from services.platform import Platform

__all__ = ["Calls", "Doorbell", "Port", "inprocess", "platform_of", "rpc"]

log = logging.getLogger("pushlog")

WAITING = 1000
RPC_DEADLINE = 10.0

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


class Answer(Rpc):
    """An RPC method; the errors that users see are expected and not logged as faults."""

    def __init__(self) -> None:
        super().__init__(expected_exceptions=errors.PushlogError)

    def handle_result(self, message: Any, worker_ctx: Any, result: Any, exc_info: Any) -> Any:
        """Answer; an error of a service's own crosses as the shared one that it is a kind of, with its sentence."""
        if exc_info and isinstance(exc_info[1], errors.PushlogError):
            kind = next(cls for cls in type(exc_info[1]).__mro__ if cls.__module__ == errors.__name__)
            exc_info = (kind, kind(str(exc_info[1])), exc_info[2])
        return super().handle_result(message, worker_ctx, result, exc_info)


def rpc(method: F) -> F:
    """Declare a method as a question that other services may ask."""
    declared: F = Answer.decorator(method)
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
        self._waiting = (self._waiting + [(e.source, e.type, e.position) for e in recorded])[-WAITING:]
        if not self._bell.ready():
            self._bell.send()

    def run(self) -> None:
        """Announce for ever."""
        while True:
            self._bell.wait()
            self._bell = Promise()
            waiting, self._waiting = self._waiting, []
            try:
                for source, type_, position in waiting:
                    self._publish(source, type_, {"position": position, "type": type_})
            except (KombuError, AMQPError, OSError) as error:
                log.warning("the bus does not answer, so events are found by looking: %s", error)
