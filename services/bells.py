"""Doorbells: every recorded event is announced, so that whoever waits for one looks at the log at once.

Nothing depends on them: whoever hears none looks every few seconds anyway.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from eventlet.event import Event as Promise
from kombu import Queue, binding
from nameko.extensions import ProviderCollector, SharedExtension
from nameko.standalone.events import get_event_exchange

from services.broker import is_inprocess
from services.bus import platform_of
from services.consumers import Consumers
from services.errors import Unavailable
from services.events import CATALOGUE, Event, Recorded


class Bell(SharedExtension, ProviderCollector):  # type: ignore[misc] # nameko has no types
    """Wakes a process for every recorded event: in each connection's own small queue, which ends with it."""

    queue_consumer = Consumers()

    def setup(self) -> None:
        """Listen, unless this process is the only one: then its hops hear all there is."""
        if not is_inprocess(self.container.config["AMQP_URI"]):
            self.queue_consumer.register_provider(self)

    @property
    def queue(self) -> Queue:
        """Another one each time, so that none waits for the broker to give up a broken connection's."""
        emitters = sorted({event.EMITTER for event in CATALOGUE.values()})
        return Queue(
            f"{self.container.service_name}.bell.{uuid4()}",
            bindings=[binding(get_event_exchange(emitter, self.container.config), "#") for emitter in emitters],
            durable=False,
            exclusive=True,
            auto_delete=True,
            max_length=1,
            queue_arguments={"x-overflow": "drop-head"},
        )

    def handle_message(self, body: Any, message: Any) -> None:
        """Look at the log."""
        self.queue_consumer.ack_message(message)
        platform_of(self.container).projections.wake()

    def stop(self) -> None:
        """Listen no more."""
        self.queue_consumer.unregister_provider(self)
        super().stop()


class Doorbell:
    """Publishes `{position, type}` for recorded events from a green thread of its own, never on the append's path.

    Of what waits only the newest event of each type is announced: a bell says that there is something to look at.
    """

    def __init__(self, publish: Callable[[str, str, dict[str, Any]], None]) -> None:
        self._publish = publish
        self._waiting: dict[tuple[str, str], int] = {}
        self._bell = Promise()

    def ring(self, recorded: list[Recorded[Event]]) -> None:
        """Have the events announced."""
        self._waiting.update({(event.source, event.type): event.position for event in recorded})
        if not self._bell.ready():
            self._bell.send()

    def run(self) -> None:
        """Announce for ever."""
        while True:
            self._bell.wait()
            self._bell = Promise()
            waiting, self._waiting = self._waiting, {}
            for (source, type_), position in waiting.items():
                with suppress(Unavailable):  # the post has said so, and the log is looked at without a bell too
                    self._publish(source, type_, {"position": position, "type": type_})
