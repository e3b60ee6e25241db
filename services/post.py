"""What a process says to the broker: questions, answers and bells, over one connection.

A broker that is down, blocked or standing still delays that, and is said to do so once.
"""

from contextlib import suppress
from typing import Any

import eventlet
from eventlet.event import Event as Promise
from kombu import Connection, Exchange, Producer
from kombu.exceptions import SerializationError

from services.broker import ANSWER, ERRORS, HEARTBEAT, Outage, connected, pause
from services.errors import Unavailable

SEND = 8.0
WAITING = 1000


class NoListener(Exception):
    """A message that must reach a queue reached none."""


class Letter:
    """A message that somebody waits to see sent."""

    def __init__(self, payload: Any, details: dict[str, Any]) -> None:
        self.payload = payload
        self.details = details
        self.wanted = True
        self.sent = Promise()


class Post:
    """Sends messages, one after the other, each until the broker has confirmed it or its sender waits no more.

    One green thread owns the connection, so that no sender's deadline tears a frame. A message that was sent when the
    connection broke is sent again: it may arrive twice.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._returned = False
        self._letters: eventlet.Queue[Letter] = eventlet.Queue(WAITING)
        self._outage = Outage("the broker takes no messages", "the broker takes messages again")

    def publish(self, payload: Any, *, exchange: Exchange, within: float = SEND, **details: Any) -> None:
        """Send JSON to an exchange, with kombu's arguments of a message.

        Raises Unavailable when the broker did not take it within so many seconds, and NoListener if it is `mandatory`
        and no queue is there for it.
        """
        details = {"serializer": "json", "delivery_mode": "persistent", "declare": [exchange], **details}
        letter = Letter(payload, {"exchange": exchange, **details})
        try:
            with eventlet.Timeout(within):
                self._letters.put(letter)
                letter.sent.wait()
        except eventlet.Timeout:
            raise Unavailable(f"the broker took no message within {within:.0f} s; is it running?") from None
        finally:
            letter.wanted = False

    def run(self) -> None:
        """Send for ever."""
        while True:
            try:
                letter = self._letters.get(timeout=HEARTBEAT / 4)
            except eventlet.queue.Empty:
                self._beat()
            else:
                self._deliver(letter)

    def _deliver(self, letter: Letter) -> None:
        tries = 0
        while letter.wanted:
            try:
                self._send(letter)
            except SerializationError as error:  # its sender's fault, who sees it; the others' letters go on
                letter.sent.send_exception(error)
                return
            except ERRORS as error:
                self._lost(error)
                eventlet.sleep(pause(tries))
                tries += 1
            else:
                self._outage.ended()
                return

    def _send(self, letter: Letter) -> None:
        if self._producer is None:
            self._connection = connected(self._url)
            self._producer = self._connection.Producer(on_return=self._on_return)
        self._returned = False
        self._producer.publish(letter.payload, timeout=ANSWER, confirm_timeout=ANSWER, **letter.details)
        if self._returned:
            letter.sent.send_exception(NoListener())
        else:
            letter.sent.send()

    def _on_return(self, *returned: Any) -> None:
        self._returned = True

    def _beat(self) -> None:
        """Show the broker that we live, and see whether it does."""
        if self._connection is None or not self._connection.supports_heartbeats:
            return
        try:
            with suppress(TimeoutError):
                while True:
                    self._connection.drain_events(timeout=0)
            self._connection.heartbeat_check()
        except ERRORS as error:
            self._lost(error)

    def _lost(self, error: BaseException) -> None:
        self._outage.began(error)
        if self._connection is not None:
            self._connection.collect()  # no word of farewell, which a broker that stands still would not answer
        self._connection = self._producer = None
