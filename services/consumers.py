"""How a service listens to the broker.

A broker that is down delays what is heard, and is said to do so once; it stops no service.
"""

import logging
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any, ClassVar

import eventlet
from kombu import Connection, Queue
from nameko.messaging import QueueConsumer

from services.broker import ERRORS, Outage, connected, declare, discard, pause

log = logging.getLogger("pushlog")

START = 2.0
STALE = 5.0
PREFETCH = 100


class Consumers(QueueConsumer):  # type: ignore[misc] # nameko has no types
    """A service's listening connection: nameko's, that comes back by itself whatever happened to it.

    Messages that are not JSON are refused. A process that stood still for long hears what was sent to it meanwhile
    only if the broker still has it, so that it does not answer those who wait no more.
    """

    live: ClassVar[weakref.WeakSet["Consumers"]] = weakref.WeakSet()

    def __init__(self) -> None:
        super().__init__()
        self.up = False
        self._outage = Outage("the broker is not heard", "the broker is heard again")
        self._turned = 0.0
        self._tries = 0
        self._dumb: set[str] = set()

    def start(self) -> None:
        """Begin to listen, and wait for that a moment: a service starts without its broker too."""
        Consumers.live.add(self)
        with eventlet.Timeout(START, False):
            super().start()

    def run(self) -> None:
        """Listen until told to stop."""
        while not self.should_stop:
            try:
                for _ in self.consume(limit=None):
                    pass
            except ERRORS as error:
                self.up = False
                self._outage.began(error)
                eventlet.sleep(pause(self._tries))
                self._tries += 1

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        """A fresh connection, at the first try or not at all."""
        link = connected(self.amqp_uri)
        try:
            yield link
        except ERRORS:
            link.collect()
            raise
        finally:
            link.close()

    def get_consumers(self, consumer_cls: Any, channel: Any) -> Iterable[Any]:
        """Declare every queue and listen to it."""
        self._turned = float("inf")  # what waits comes while the later queues are still being listened to
        for provider in self._providers:
            queue = provider.queue
            declare(queue, channel.connection.client)
            callback = partial(self.handle_message, provider)
            consumer = consumer_cls(queues=[queue], callbacks=[callback], accept=["json"])
            consumer.qos(prefetch_count=PREFETCH)
            self._consumers[provider] = consumer
            self._listen(consumer, queue)
        return list(self._consumers.values())

    def _listen(self, consumer: Any, queue: Queue) -> None:
        """Begin to consume. A queue that was made in the moment in which the broker was killed may be dumb for ever."""
        try:
            consumer.consume()
        except TimeoutError:
            if queue.durable and queue.name in self._dumb:
                log.warning("the queue %s has been dumb since its broker ended, so it is made anew", queue.name)
                discard(queue, self.amqp_uri)
            self._dumb.add(queue.name)
            raise

    def on_consume_ready(self, connection: Any, channel: Any, consumers: Any, **kwargs: Any) -> None:
        """Listening has begun."""
        super().on_consume_ready(connection, channel, consumers, **kwargs)
        self._turned = monotonic() if connection.supports_heartbeats else float("inf")
        self._outage.ended()
        self._tries = 0
        self._dumb.clear()
        self.up = True

    def on_iteration(self) -> None:
        """Once a second, and for each message."""
        super().on_iteration()
        self._check()
        self._turned = max(self._turned, monotonic())

    def handle_message(self, provider: Any, body: Any, message: Any) -> None:
        """Give a message to who listens for it."""
        self._check()
        super().handle_message(provider, body, message)

    def _check(self) -> None:
        """End the connection of a process that stood still: its timers may fire before it reads what came meanwhile."""
        if monotonic() - self._turned > STALE:
            raise ConnectionResetError("this process stood still, so what waits is asked for anew")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse a message: it is no JSON."""
        log.warning("refused a message of type %.60r from %.60r", message.content_type, message.delivery_info)
        message.reject()

    def ack_message(self, message: Any) -> None:
        """Have the broker forget a message; on a broken connection it comes again."""
        with _broken_matters_not():
            super().ack_message(message)

    def requeue_message(self, message: Any) -> None:
        """Have the broker send a message again; on a broken connection it does."""
        with _broken_matters_not():
            super().requeue_message(message)


@contextmanager
def _broken_matters_not() -> Iterator[None]:
    try:
        yield
    except ERRORS as error:
        log.debug("a message could not be acknowledged: %s", error)


def up() -> bool:
    """Whether all services of this process hear the broker."""
    return all(consumers.up for consumers in Consumers.live)
