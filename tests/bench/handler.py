"""From an append until its event was handled in another process, over PostgreSQL and RabbitMQ.

This process plays a builder and appends what came of builds; a process of configsvc makes a release of each. The time
ends when the release is being recorded, so the decision is in it.
"""

import os
import statistics
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from kombu import Connection

from services.chain import Cause, Draft, uuid7
from services.eventlog import SqlLog, open_log
from services.events import AppCreated, BuildSucceeded, NameTaken, ReleaseCreated, app_stream, name_stream, work_stream
from tests.bench.figures import Figure
from tests.bench.workbench import say
from tests.e2e.cluster import Cluster
from tests.postgres import Server
from tests.rabbitmq import started

HANDLED = 200
PATIENCE = 10.0


def handled(folder: Path, outcome: BuildSucceeded) -> list[Figure]:
    """The median and the 99th percentile."""
    say("RabbitMQ and PostgreSQL: append → handled")
    with ExitStack() as stack:
        (folder / "rabbitmq").mkdir()
        broker = started(folder / "rabbitmq")
        stack.callback(broker.close)
        server = Server()
        stack.callback(server.remove)
        database = server.create_database()
        urls = {"LOG_URL": database.url, "LOG_OWNER_URL": database.owner_url, "BROKER_URL": broker.url()}
        cluster = Cluster(folder / "cluster", f"bench-{os.getpid()}-cluster", urls=urls)
        cluster.pushlog("prepare")
        stack.callback(cluster.down)
        cluster.begin("configsvc").wait_until_ready()
        log, opened = open_log(database.url)
        stack.callback(opened.dispose)
        waits = sorted(_waits(log, stack.enter_context(Connection(urls["BROKER_URL"])), outcome))
    return [
        Figure(f"handled-{name}", f"cluster: append → its handler decided, {name}", "s", 0.02, runs=[value])
        for name, value in (("p50", statistics.median(waits)), ("p99", waits[int(len(waits) * 0.99)]))
    ]


def _waits(log: SqlLog, broker: Connection, outcome: BuildSucceeded) -> list[float]:
    app, cause, waits = outcome.app, Cause("configsvc", "local"), []
    taken = Draft(name_stream("hello"), "hello", NameTaken(app=app, name="hello"))
    log.append([taken, Draft(app_stream(app), "hello", AppCreated(app=app, name="hello"))], cause)
    producer = broker.Producer(serializer="json")
    for _ in range(HANDLED):
        push = uuid7()
        cause = Cause("builder", "local", correlationid=push, causationid=push)
        (build,) = log.append([Draft(work_stream(push), "hello", outcome)], cause)
        returned = time.time()
        bell = {"position": build.position, "type": build.type}
        producer.publish(bell, exchange="builder.events", routing_key=build.type)
        waits.append(_released(log, build.position) - returned)
    return waits


def _released(log: SqlLog, after: int) -> float:
    """When the release after this position was being recorded, in Unix time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for event in log.read(after):
            if isinstance(event.data, ReleaseCreated):
                return datetime.fromisoformat(event.time).timestamp()
        time.sleep(0.001)
    raise AssertionError(f"no release came of the build at {after} within {PATIENCE:g} s")
