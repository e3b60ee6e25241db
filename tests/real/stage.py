"""Actors of tests/real/actors.py as a test sees them: started, asked, paused, killed."""

import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from kombu import Connection, Exchange

from services.chain import Cause, Draft
from services.eventlog import open_log
from services.events import PushReceived, work_stream
from tests.rabbitmq import Broker

ROOT = Path(__file__).parents[2]
PATIENCE = 120
"""Seconds for what takes 3 on a machine that has nothing else to do."""


def wait_for(look, what, patience=PATIENCE):
    """What `look` returns once that is true. Fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (seen := look()):
        assert time.monotonic() < deadline, f"no {what} within {patience} s"
        time.sleep(0.02)
    return seen


class Actor:
    """A process with services on the bus."""

    def __init__(self, roles, home, url):
        self.words = home / f"{roles}.{len(list(home.glob(roles + '.*')))}"
        with self.words.open("wb") as words:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.real.actors", roles, str(home), url],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
            )
        self._ids = itertools.count()
        self._asked: dict[int, Future] = {}
        self._ready = threading.Event()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self):
        for line in self._process.stdout:
            said = json.loads(line)
            if "id" in said:
                self._asked.pop(said["id"]).set_result(said)
            else:
                self._ready.set()

    def ready(self):
        """Wait until its services have started."""
        assert self._ready.wait(PATIENCE), self.words.read_text()
        return self

    def order(self, **order):
        """A Future of what comes of an order."""
        id_ = next(self._ids)
        self._asked[id_] = answer = Future()
        self._process.stdin.write(json.dumps({"id": id_, **order}) + "\n")
        self._process.stdin.flush()
        return answer

    def ask(self, method, service="callee", **arguments):
        """A Future of what a service answers: `answer` or `error`, and after how many `seconds`."""
        return self.order(service=service, method=method, arguments=arguments)

    def told(self, method, service="callee", **arguments):
        """What a service answers."""
        return self.ask(method, service, **arguments).result(PATIENCE)

    def state(self):
        """How many answers are `waiting`, and whether the broker is `up`."""
        return self.order().result(PATIENCE)["answer"]

    def pause(self):
        """Let it stand still."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        """End it at once."""
        self._process.kill()
        self._listener.join()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def said(self, text):
        """How often it said so in its log."""
        return self.words.read_text().count(text)


class Stage:
    """A log, notes and a virtual host that actors share."""

    def __init__(self, broker: Broker, home: Path):
        self.broker, self.home, self.url = broker, home, broker.url()
        self.log, self._engine = open_log(f"sqlite:///{home / 'log.sqlite'}")
        self._actors: list[Actor] = []

    def enter(self, roles):
        """Start an actor, without waiting for it."""
        self._actors.append(Actor(roles, self.home, self.url))
        return self._actors[-1]

    def playing(self, *casts):
        """Start actors, each with its roles, and wait until their services have started; one alone is no list."""
        entered = [self.enter(roles) for roles in casts]
        ready = [actor.ready() for actor in entered]
        return ready if len(ready) > 1 else ready[0]

    def push(self, name):
        """Record a push without ringing a bell for it; returns what was recorded."""
        event = PushReceived(
            app="00000000-0000-4000-8000-000000000001",
            ref="refs/heads/main",
            old=None,
            new="0" * 40,
            source="sha256:" + "0" * 64,
        )
        return self.log.append([Draft(work_stream(name), name, event)], Cause("gitreceiver", "local"))[0]

    def bell(self, event):
        """Ring for an event."""
        self.publish({"position": event.position, "type": event.type}, "gitreceiver.events", event.type)

    def publish(self, body, exchange, key, **details):
        """Send a message as anyone might: JSON, or bytes with a content type."""
        details = details if "content_type" in details else {"serializer": "json", **details}
        with Connection(self.url) as connection:
            topic = Exchange(exchange, "topic", durable=True)
            connection.Producer().publish(body, exchange=topic, routing_key=key, declare=[topic], **details)

    def queues(self):
        """The queues by name."""
        return self.broker.queues(self.url)

    def waiting(self, queue):
        """How many messages wait in a queue, ready to be given to who listens."""
        with Connection(self.url) as connection:
            return connection.default_channel.queue_declare(queue, passive=True).message_count

    def notes(self):
        """What the actors did, in order."""
        notes = self.home / "notes"
        return notes.read_text().split() if notes.exists() else []

    def close(self):
        """End all."""
        for actor in self._actors:
            actor.resume()
            actor.kill()
        self._engine.dispose()
