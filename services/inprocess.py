"""The bus of the embedded instance: a kombu transport whose queues live in this process.

kombu's own memory transport polls once a second and leaves out the message properties that RPC reads; this one
wakes its consumers at once and carries them.
"""

import threading
import weakref
from collections.abc import Callable
from queue import Empty
from time import monotonic
from typing import Any, ClassVar

from kombu.transport import TRANSPORT_ALIASES, memory, virtual

SCHEME = "inprocess"


class Channel(memory.Channel):
    """A channel of the process's own queues."""

    queues: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.events: dict[str, set[Callable[..., None]]] = {"basic_return": set()}

    def basic_publish(
        self, message: Any, exchange: str, routing_key: str, mandatory: bool = False, **kwargs: Any
    ) -> None:
        """Put the message into the queues it is for. Without one it is forgotten, or returned if it is mandatory."""
        if exchange and not self.typeof(exchange).lookup(self.get_table(exchange), exchange, routing_key, None):
            for returned in self.events["basic_return"] if mandatory else ():
                returned(312, "NO_ROUTE", exchange, routing_key, message)
            return
        super().basic_publish(message, exchange, routing_key, **kwargs)

    def prepare_message(
        self,
        body: Any,
        priority: Any = None,
        content_type: Any = None,
        content_encoding: Any = None,
        headers: Any = None,
        properties: Any = None,
    ) -> Any:
        """kombu's message, with the content's type and encoding among the properties, where RPC looks for them."""
        properties = {**(properties or {}), "content_type": content_type, "content_encoding": content_encoding}
        return super().prepare_message(body, priority, content_type, content_encoding, headers, properties)

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)
        for transport in list(Transport.live):
            transport.bell.set()

    def close(self) -> None:
        """Close the channel; unlike kombu's, the queues of the process stay."""
        virtual.Channel.close(self)


class Transport(memory.Transport):
    """Delivers as soon as a message is put."""

    Channel = Channel
    global_state = virtual.BrokerState()
    live: ClassVar[weakref.WeakSet["Transport"]] = weakref.WeakSet()

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.bell = threading.Event()
        Transport.live.add(self)

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver one message; wait for it at most `timeout` seconds, then raise TimeoutError."""
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            self.bell.clear()
            try:
                self.cycle.get(self._deliver, timeout=timeout)
                return
            except Empty:
                left = None if deadline is None else deadline - monotonic()
                if (left is not None and left <= 0) or not self.bell.wait(left):
                    raise TimeoutError from None


TRANSPORT_ALIASES[SCHEME] = "services.inprocess:Transport"
