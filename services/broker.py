"""What services/consumers.py, who listen to the broker, and services/post.py, who speaks to it, share.

On RabbitMQ (3.10 or later) the queues that outlive a process are quorum queues; each is bounded.
"""

import json
import logging
import ssl
from functools import partial
from time import monotonic
from typing import Any

from amqp.exceptions import AMQPError, PreconditionFailed  # type: ignore[import-untyped]
from kombu import Connection, Exchange, Queue, serialization
from kombu.exceptions import KombuError

from services import inprocess

log = logging.getLogger("pushlog")

HEARTBEAT = 10.0
CONNECT = 5.0
ANSWER = 4.0
"""Seconds without a word. It is less than half a HEARTBEAT, as each beat of the broker, two in that time, is a word."""
AGAIN = (0.1, 0.2, 0.5, 1.0)
QUEUE_LENGTH = 1000
QUORUM = {"x-queue-type": "quorum", "x-max-length": QUEUE_LENGTH, "x-overflow": "drop-head"}
"""What a queue that outlives a process is declared with on RabbitMQ."""

ERRORS = (AMQPError, KombuError, OSError)
"""What a broker that is gone, or a connection that broke, raises."""

# kombu's own JSON makes other things than dicts of some dicts, which would be any user's that look like that
serialization.register("json", partial(json.dumps, allow_nan=False), json.loads, "application/json", "utf-8")


def is_inprocess(url: str) -> bool:
    """Whether the bus is the process's own."""
    return url.startswith(inprocess.SCHEME)


def connection(url: str) -> Connection:
    """A connection to the broker, not opened yet. With amqps:// the broker must have a certificate for its name."""
    tls = {"server_hostname": None, "cert_reqs": ssl.CERT_REQUIRED, "ca_certs": ssl.get_default_verify_paths().cafile}
    return Connection(
        url,
        heartbeat=HEARTBEAT,
        connect_timeout=CONNECT,
        ssl=tls if url.startswith("amqps:") else None,
        transport_options={"confirm_publish": True},
    )


def connected(url: str) -> Connection:
    """An open connection, at the first try or not at all; on it the broker may be silent for ANSWER seconds at most.

    Raises one of ERRORS.
    """
    link = connection(url)
    link.ensure_connection(max_retries=0, reraise_as_library_errors=False)
    if not is_inprocess(url):  # else a broker that is about to start, or to stop, may have us wait for ever
        link.connection.transport.sock.settimeout(ANSWER)
    return link


def lasting_queue(url: str, name: str, exchange: Exchange, routing_key: str, **arguments: Any) -> Queue:
    """A queue that outlives the process, bounded where the broker can: beyond it the oldest messages go."""
    bounds = {} if is_inprocess(url) else {**QUORUM, **arguments}
    return Queue(name, exchange=exchange, routing_key=routing_key, durable=True, queue_arguments=bounds)


class Outage:
    """Says once that something is not so, and once that it is so again."""

    def __init__(self, broken: str, mended: str) -> None:
        self._broken = broken
        self._mended = mended
        self._since: float | None = None

    def began(self, error: BaseException) -> None:
        """It failed, perhaps not for the first time."""
        if self._since is None:
            self._since = monotonic()
            log.warning("%s: %s", self._broken, str(error) or type(error).__name__)

    def ended(self) -> None:
        """It succeeded, perhaps as ever."""
        if self._since is not None:
            log.warning("%s, after %.1f s", self._mended, monotonic() - self._since)
            self._since = None


def declare(queue: Queue, link: Connection) -> None:
    """Declare a queue and what it is bound to; one of that name with other arguments gives way to it.

    What waited in that is found in the log. Raises PreconditionFailed if somebody listens to the other one.
    """
    try:
        with link.channel() as channel:
            queue(channel).declare()
    except PreconditionFailed as error:
        with link.channel() as channel:
            if channel.queue_declare(queue.name, passive=True).consumer_count:
                raise
            log.warning("the queue %s is made anew, as an earlier Pushlog made it otherwise: %s", queue.name, error)
            queue(channel).delete()
            queue(channel).declare()


def discard(queue: Queue, url: str) -> None:
    """Delete a queue, which takes the broker 5 s for one that is dumb. Raises one of ERRORS."""
    with connected(url) as link:
        link.connection.transport.sock.settimeout(3 * ANSWER)
        queue(link.default_channel).delete()


def pause(tries: int) -> float:
    """Seconds before what failed `tries` times before is tried again."""
    return AGAIN[min(tries, len(AGAIN) - 1)]
