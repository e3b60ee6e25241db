"""How services meet: RPC with a deadline. What was recorded is announced by services/bells.py.

A service's class is a table of contents: `@rpc` is a question it answers, `Port(build)` what its handlers are given,
and its hops are declared with services/hops.py.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar
from uuid import uuid4

import eventlet
from kombu import Queue
from nameko import exceptions as nameko_exceptions
from nameko.constants import HEADER_PREFIX
from nameko.exceptions import IncorrectSignature, MalformedRequest, MethodNotFound, RemoteError
from nameko.extensions import DependencyProvider
from nameko.rpc import ReplyListener, Responder, Rpc, RpcConsumer, RpcReply, get_rpc_exchange

from services import errors
from services.broker import QUEUE_LENGTH, lasting_queue
from services.consumers import Consumers
from services.names import shown
from services.past import view
from services.platform import Platform
from services.post import NoListener

__all__ = ["Calls", "Port", "platform_of", "rpc"]

log = logging.getLogger("pushlog")

RPC_DEADLINE = 9.0
"""Seconds in which a question is answered or ends with an error: a command's asker hears within 10 s."""
DELIVERIES = 3
FAULTS = (RemoteError, MethodNotFound, IncorrectSignature, MalformedRequest)

NO_ANSWER = {"exc_type": "NoAnswer", "exc_path": "", "exc_args": [], "value": "no answer"}

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
    """What a service's handlers are given: `build(platform)`, made once when the service is set up.

    A question that asks for a view, of the past or of what would be recorded, is answered with that.
    """

    def __init__(self, build: Callable[[Platform], T]) -> None:
        self.build = build

    def setup(self) -> None:
        """Build it."""
        self.value = self.build(platform_of(self.container))

    def get_dependency(self, worker_ctx: Any) -> T:
        """The same object for every worker that asks for no view."""
        return view(self.value, self.build, platform_of(self.container), worker_ctx.data)


class Requests(RpcConsumer):
    """The questions that a service is asked, in one queue that all its processes share."""

    queue_consumer = Consumers()
    queue: Queue | None

    def setup(self) -> None:
        """Declare the queue. A request that nobody took in its asker's time is thrown away."""
        if self.queue is None:
            config, name = self.container.config, self.container.service_name
            self.queue = lasting_queue(
                config["AMQP_URI"],
                f"rpc-{name}",
                get_rpc_exchange(config),
                f"{name}.*",
                **{"x-message-ttl": int(RPC_DEADLINE * 1000), "x-delivery-limit": DELIVERIES},
            )
            self.queue_consumer.register_provider(self)

    def handle_message(self, body: Any, message: Any) -> None:
        """Have a request answered; what is none is thrown away, as nobody could be answered."""
        if _is_request(body, message.properties):
            super().handle_message(body, message)
        else:
            log.warning("threw away what is no request, from %s", shown(str(message.delivery_info)))
            self.queue_consumer.ack_message(message)

    def handle_result(self, message: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        """Send the answer, then forget the request. Without a broker both are tried again by who takes it next."""
        config = self.container.config
        responder = Responder(config["AMQP_URI"], get_rpc_exchange(config), "json", message)
        responder.publisher_cls = lambda *args, **kwargs: config["post"]
        try:
            result, exc_info = responder.send_response(result, exc_info)
        except errors.Unavailable as error:
            log.warning("nobody hears the answer to %s: %s", message.delivery_info["routing_key"], error)
        self.queue_consumer.ack_message(message)
        return result, exc_info


class Answer(Rpc):
    """An RPC method; the errors that users see are expected and not logged as faults."""

    rpc_consumer = Requests()

    def __init__(self) -> None:
        super().__init__(expected_exceptions=errors.PushlogError)

    def handle_result(self, message: Any, worker_ctx: Any, result: Any, exc_info: Any) -> Any:
        """Answer; an error of a service's own crosses as the shared one that it is a kind of, with its sentence."""
        if exc_info and isinstance(exc_info[1], errors.PushlogError):
            kind = next(cls for cls in type(exc_info[1]).__mro__ if cls.__module__ == errors.__name__)
            exc_info = (kind, kind(str(exc_info[1])), exc_info[2])
        return super().handle_result(message, worker_ctx, result, exc_info)


def _is_request(body: Any, properties: dict[str, Any]) -> bool:
    """Whether a message is a question that somebody waits to have answered."""
    asks = isinstance(body, dict) and isinstance(body.get("args"), list) and isinstance(body.get("kwargs"), dict)
    return asks and all(isinstance(properties.get(name), str) for name in ("reply_to", "correlation_id"))


def rpc(method: F) -> F:
    """Declare a method as a question that other services may ask."""
    declared: F = Answer.decorator(method)
    return declared


class Replies(ReplyListener):
    """What a service is answered, in a queue of its process that ends soon after it."""

    queue_consumer = Consumers()

    def setup(self) -> None:
        """Declare the queue: an answer that comes after its asker's time is thrown away."""
        super().setup()
        self.queue.queue_arguments |= {
            "x-message-ttl": int(RPC_DEADLINE * 1000),
            "x-max-length": QUEUE_LENGTH,
            "x-overflow": "drop-head",
        }

    def handle_message(self, body: Any, message: Any) -> None:
        """Give an answer to its asker, if that waits."""
        super().handle_message(body if isinstance(body, dict) else {"error": NO_ANSWER}, message)

    def forget(self, correlation: str) -> None:
        """Nobody waits for this answer any more."""
        self._reply_events.pop(correlation, None)


class Calls(DependencyProvider):
    """Gives a worker `call(service, method, view, **arguments)`, which answers or raises within the deadline.

    `view` is what past.view takes, if anything.
    """

    replies = Replies()

    def get_dependency(self, worker_ctx: Any) -> Callable[..., Any]:
        """The function `call`."""
        return self.call

    def call(self, service: str, method: str, view: Mapping[str, Any] | None = None, /, **arguments: Any) -> Any:
        """What a service answers. Raises the errors that users see, and Unavailable when no answer came in time."""
        correlation = str(uuid4())
        reply = RpcReply(self.replies.get_reply_event(correlation))
        try:
            with eventlet.Timeout(RPC_DEADLINE):
                self._ask(f"{service}.{method}", arguments, correlation, view or {})
                return reply.result()
        except eventlet.Timeout:
            raise errors.Unavailable(f"{service} did not answer within {RPC_DEADLINE:.0f} s") from None
        except NoListener:
            raise errors.Unavailable(f"{service} is not running") from None
        except FAULTS as error:
            kind = error.exc_type if isinstance(error, RemoteError) else type(error).__name__
            raise errors.PushlogError(f"{service} failed: {kind}; its log says more") from None
        finally:
            self.replies.forget(correlation)

    def _ask(self, routing_key: str, arguments: dict[str, Any], correlation: str, view: Mapping[str, Any]) -> None:
        self.container.config["post"].publish(
            {"args": [], "kwargs": arguments},
            exchange=get_rpc_exchange(self.container.config),
            routing_key=routing_key,
            mandatory=True,
            expiration=RPC_DEADLINE,
            reply_to=self.replies.routing_key,
            correlation_id=correlation,
            headers={f"{HEADER_PREFIX}.{name}": value for name, value in view.items()},
        )
