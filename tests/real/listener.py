"""A process that listens to queues of the broker at an URL, of which the first holds messages; prints what came."""

import os
import sys
import warnings

MESSAGES = 20
DEADLINE = 30.0


def main(url: str) -> None:
    """Fill the first queue, then listen; ends when all was heard."""
    os.environ.update(EVENTLET_HUB="asyncio", EVENTLET_NO_GREENDNS="yes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import eventlet
    eventlet.monkey_patch()

    from kombu import Connection, Exchange

    from services.broker import lasting_queue
    from services.consumers import Consumers

    class Listener:
        """Notes what it hears, of one queue."""

        def __init__(self, name):
            self.queue = lasting_queue(url, name, exchange, name)

        def handle_message(self, body, message):
            consumers.ack_message(message)
            print(body, flush=True)
            heard.append(body)

    class Container:
        """What nameko's containers are to a consumer."""

        def __init__(self):
            self.config = {"AMQP_URI": url, "serializer": "json", "ACCEPT": ["json"]}
            self.shared_extensions = {}

        def spawn_managed_thread(self, run, identifier=None):
            return eventlet.spawn(run)

    exchange, heard, container = Exchange("events", type="topic"), [], Container()
    consumers = Consumers().bind(container)
    consumers.setup()
    listeners = [Listener(f"queue-{number}") for number in range(5)]
    for listener in listeners:
        consumers.register_provider(listener)
    with Connection(url) as connection:
        listeners[0].queue(connection.default_channel).declare()
        for number in range(MESSAGES):
            connection.Producer().publish(number, exchange=exchange, routing_key="queue-0", serializer="json")
    consumers.start()
    with eventlet.Timeout(DEADLINE, False):
        while len(heard) < MESSAGES:
            eventlet.sleep(0.05)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
