"""The bus on a real RabbitMQ that is killed, paused, purged, blocked and fed with rubbish (tests/real/actors.py)."""

import json
import pickle
import random
import time
from collections import Counter
from pathlib import Path

import amqp
import pytest
from kombu import Connection, Consumer, Exchange, Queue

from services.chain import Cause, uuid7
from tests.rabbitmq import vhost
from tests.real.stage import Stage, wait_for

LATE = 20.0
"""Seconds within which who asks hears something: 10, and what a busy machine adds."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def stage(rabbitmq, tmp_path):
    """A stage on the session's broker, which is well again afterwards."""
    stage = Stage(rabbitmq, tmp_path)
    yield stage
    stage.close()
    rabbitmq.resume()
    if not rabbitmq.answers():
        rabbitmq.kill()
        rabbitmq.start()


def asked():
    """A command's cause, as it crosses the bus."""
    cause = Cause("callee", "me", "192.0.2.1", "a command", uuid7())
    return {name: getattr(cause, name) for name in Cause.__slots__}


def request(queue, method, **arguments):
    """A question as `stage.publish` takes it, whose answer nobody waits for."""
    details = {"reply_to": "nobody", "correlation_id": "x"}
    return {"body": {"args": [], "kwargs": arguments}, "exchange": "nameko-rpc", "key": f"{queue}.{method}", **details}


def test_the_broker_of_the_tests_has_no_guest_and_lets_each_test_into_its_own_virtual_host_only(
    rabbitmq, amqp_url, amqp_urls
):
    with Connection(amqp_url) as connection:
        connection.ensure_connection(timeout=10, max_retries=1)
    guest = f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/"
    stranger = amqp_url.rpartition("/")[0] + "/" + amqp_urls().rpartition("/")[2]
    for url in (guest, stranger):
        with Connection(url) as connection, pytest.raises((amqp.AccessRefused, amqp.NotAllowed)):
            connection.connect()


def test_every_queue_is_bounded_and_those_that_outlive_a_process_are_quorum_queues_under_stable_names(stage):
    stage.playing("builder+callee+asker")
    queues = stage.queues()
    bound = {"x-max-length": 1000, "x-overflow": "drop-head"}
    lasting = {name: q["arguments"] for name, q in queues.items() if q["type"] == "quorum" and q["durable"]}
    assert lasting == {
        "builder.on.push.received": {"x-queue-type": "quorum", **bound},
        **{
            f"rpc-{name}": {"x-queue-type": "quorum", "x-message-ttl": 9000, "x-delivery-limit": 3, **bound}
            for name in ("asker", "callee")
        },
    }
    (bell,) = (q for name, q in queues.items() if ".bell." in name)
    assert (bell["exclusive"], bell["auto_delete"], bell["durable"]) == (True, True, False)
    assert bell["arguments"] == {"x-max-length": 1, "x-overflow": "drop-head"}
    (reply,) = (q for name, q in queues.items() if name.startswith("rpc.reply-"))
    assert reply["arguments"] == {"x-expires": 300000, "x-message-ttl": 9000, **bound}
    bindings = stage.broker.api("GET", f"queues/{vhost(stage.url)}/{bell['name']}/bindings")
    heard = {binding["source"]: binding["routing_key"] for binding in bindings if binding["source"]}
    assert heard == dict.fromkeys(
        (f"{name}.events" for name in ("gitreceiver", "builder", "configsvc", "deployer", "router")), "#"
    )


def test_a_renamed_method_keeps_its_queue(stage):
    stage.playing("builder").kill()
    before = {name for name in stage.queues() if "bell" not in name}
    stage.playing("renamed")
    assert {name for name in stage.queues() if "bell" not in name} == before


def test_a_queue_that_nobody_empties_keeps_the_newest_messages(stage):
    stage.playing("builder").kill()
    with Connection(stage.url) as connection:
        exchange = Exchange("gitreceiver.events", "topic", durable=True)
        producer = connection.Producer(exchange=exchange)
        for position in range(1, 1011):
            producer.publish({"position": position}, routing_key="push.received")
    queue = "builder.on.push.received"
    wait_for(lambda: stage.waiting(queue) == 1000, "full queue")
    with Connection(stage.url) as connection:
        assert connection.SimpleQueue(Queue(queue, no_declare=True)).get(timeout=10).payload == {"position": 11}


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_what_is_not_json_is_refused_and_dead_lettered_and_nobody_stops_listening(stage):
    actor = stage.playing("asker+callee+builder")
    policy = {"pattern": r"^(rpc-|builder\.on)", "definition": {"dead-letter-exchange": "amq.fanout"}}
    stage.broker.api("PUT", f"policies/{vhost(stage.url)}/dead", policy)
    canary = stage.home / "canary"
    evil = {
        "application/x-python-serialize": pickle.dumps(Canary(canary)),
        "application/x-yaml": f"!!python/object/apply:pathlib.Path.touch [{canary}]".encode(),
        "application/x-msgpack": b"\x81\xa4args\x90",
        "application/json": b'{"args": [',
        "application/json; charset=utf-7": b"{}",
        "nonsense": b"\xff",
    }
    places = (("nameko-rpc", "callee.double"), ("gitreceiver.events", "push.received"))
    with Connection(stage.url) as connection, connection.channel() as channel:
        dead = Queue("dead", Exchange("amq.fanout", "fanout", durable=True), durable=True)(channel)
        dead.declare()
        seen = []
        for exchange, key in places:
            for kind, body in evil.items():
                stage.publish(body, exchange, key, content_type=kind, content_encoding="binary")
        with Consumer(channel, dead, on_message=seen.append):
            while len(seen) < len(places) * len(evil):
                connection.drain_events(timeout=60)
    refused = Counter((message.delivery_info["routing_key"], message.content_type) for message in seen)
    assert refused == Counter((key, kind) for _, key in places for kind in evil)
    assert actor.told("double", number=21)["answer"] == 42
    event = stage.push("a")
    stage.bell(event)
    wait_for(lambda: stage.notes() == ["a"], "note")
    assert not canary.exists()
    assert actor.said("Traceback") == 0


def test_json_that_is_no_question_or_answer_is_thrown_away(stage):
    actor = stage.playing("asker+callee")
    replies = next(name for name in stage.queues() if name.startswith("rpc.reply-"))
    bodies = [[], 1, None, "x", {}, {"args": 1, "kwargs": 2}, {"args": [], "kwargs": []}]
    for body in bodies:
        stage.publish(body, "nameko-rpc", "callee.double", reply_to="x", correlation_id="x")
        stage.publish(body, "nameko-rpc", replies.removeprefix("rpc.reply-asker-"), correlation_id="x")
    stage.publish({"args": [], "kwargs": {}}, "nameko-rpc", "callee.double")
    assert actor.told("double", number=1)["answer"] == 2
    assert actor.said("no request") == len(bodies) + 1
    assert actor.said("Traceback") == 0


def test_who_asks_for_a_method_or_argument_that_is_not_there_hears_so(stage):
    asker = stage.playing("asker+callee")
    assert asker.told("nothing")["error"] == "callee failed: MethodNotFound; its log says more"
    assert asker.told("double", wrong=1)["error"] == "callee failed: IncorrectSignature; its log says more"
    names = {"__type__": "uuid", "__value__": "x"}
    assert asker.told("double", number=[names])["answer"] == [names, names]


def test_a_service_that_never_ran_is_named_at_once_and_one_that_died_in_time_and_hurts_nobody(stage):
    asker, other = stage.playing("asker", "callee")
    nobody = asker.told("x", service="nobody")
    assert nobody["error"] == "nobody is not running"
    assert nobody["seconds"] < 9
    other.kill()
    asked = [asker.ask("note", text=f"late{n}") for n in range(50)]
    answers = [answer.result(LATE) for answer in asked]
    assert {answer.get("error") for answer in answers} == {"callee did not answer within 9 s"}
    assert all(answer["seconds"] < LATE for answer in answers)
    assert asker.state() == {"waiting": 0, "up": True}
    wait_for(lambda: stage.waiting("rpc-callee") == 0, "expiry")
    stage.playing("callee")
    assert asker.told("double", number=1)["answer"] == 2
    assert stage.notes() == []


def test_a_service_that_stood_still_does_not_do_what_nobody_waits_for_any_more(stage):
    asker, callee = stage.playing("asker", "callee")
    assert asker.told("double", number=1)["answer"] == 2
    callee.pause()
    asked = [asker.ask("note", text=f"late{n}") for n in range(5)]
    for answer in asked:
        assert answer.result(LATE)["error"] == "callee did not answer within 9 s"
    callee.resume()
    assert asker.told("double", number=1)["answer"] == 2
    asker.told("note", text="now")
    assert stage.notes() == ["now"]
    assert asker.state()["waiting"] == 0


def test_two_processes_share_the_questions_and_one_that_stands_still_does_not_stop_the_other(stage):
    asker, first = stage.playing("asker+callee", "callee")
    first.pause()
    asked = [asker.ask("double", number=n) for n in range(20)]
    answers = [answer.result(LATE) for answer in asked]
    assert sum("answer" in answer for answer in answers) >= 10


def test_without_a_broker_a_command_ends_in_time_and_all_goes_on_by_itself_when_it_is_back(stage, record_property):
    asker, builder = stage.playing("asker+callee", "builder")
    stage.broker.kill()
    event = stage.push("a")
    down = asker.told("double", number=1)
    assert down["error"] == "the broker took no message within 8 s; is it running?"
    assert down["seconds"] < LATE
    wait_for(lambda: stage.notes() == ["a"], "note")
    assert not asker.state()["up"]
    stage.broker.start()
    start = time.monotonic()
    wait_for(lambda: asker.told("double", number=21).get("answer") == 42, "answer")
    wait_for(lambda: asker.state()["up"], "listening")
    record_property("seconds until the broker is heard again", round(time.monotonic() - start, 1))
    stage.bell(event)
    wait_for(lambda: builder.said("the broker is heard again"), "word")
    assert builder.said("the broker is not heard") == 1
    assert len(builder.words.read_text().splitlines()) <= 4
    assert stage.notes() == ["a"]


def test_services_that_start_before_the_broker_say_so_once_and_work_from_the_log(stage):
    stage.broker.stop()
    stage.push("a")
    builder, asker = stage.playing("builder", "asker+callee")
    wait_for(lambda: stage.notes() == ["a"], "note")
    stage.broker.start()
    wait_for(lambda: asker.told("double", number=1).get("answer") == 2, "answer")
    assert builder.said("the broker is not heard") == 1


def test_a_command_under_way_when_the_broker_is_killed_acts_once_and_is_answered_by_the_log(stage):
    asker, _ = stage.playing("asker+callee", "callee")
    asked_ = [asker.ask("take", name=f"name-{n}", cause=asked()) for n in range(100)]
    stage.broker.kill()
    stage.broker.start()
    wait_for(lambda: asker.told("double", number=1).get("answer") == 2, "answer")
    asked_ += [asker.ask("take", name=f"name-{n}", cause=asked()) for n in range(100, 120)]
    answers = [answer.result(60) for answer in asked_]
    recorded = stage.log.read()
    assert max(Counter(event.subject for event in recorded).values()) == 1
    positions = {event.subject: event.position for event in recorded}
    given = {f"name-{n}": answer["answer"] for n, answer in enumerate(answers) if "answer" in answer}
    assert given == {name: positions[name] for name in given}
    assert len(given) >= 20


def test_a_command_that_comes_three_times_acts_once(stage):
    asker, _ = stage.playing("asker+callee", "callee")
    cause = asked()
    for _ in range(3):
        stage.publish(**request("callee", "take", name="hello", cause=cause))
    position = asker.told("take", name="hello", cause=cause)["answer"]
    assert [event.position for event in stage.log.read()] == [position]


def test_doubled_reordered_lost_and_old_bells_change_nothing(stage):
    stage.playing("builder")
    events = [stage.push(name) for name in "abcde"]
    rung = [event for event in events for _ in range(3)]
    random.Random(1).shuffle(rung)
    for event in rung[2:]:
        stage.bell(event)
    stage.publish({"position": 10**9, "type": "from another time", "more": [1]}, "gitreceiver.events", "push.received")
    stage.publish([], "gitreceiver.events", "push.received")
    wait_for(lambda: len(stage.notes()) == 5, "notes")
    for event in rung:
        stage.bell(event)
    wait_for(lambda: stage.waiting("builder.on.push.received") == 0, "silence")
    stage.push("last")
    wait_for(lambda: stage.notes()[-1] == "last", "note")
    assert stage.notes() == [*"abcde", "last"]


def test_purged_queues_lose_nothing(stage):
    builder = stage.playing("builder")
    builder.pause()
    events = [stage.push(name) for name in "ab"]
    for event in events:
        stage.bell(event)
    stage.broker.purge(stage.url)
    builder.resume()
    wait_for(lambda: stage.notes() == ["a", "b"], "notes")


def test_a_broker_that_stands_still_makes_nobody_wait_longer_than_told(stage):
    asker = stage.playing("asker+callee")
    assert asker.told("double", number=1)["answer"] == 2
    stage.broker.pause()
    answers = [answer.result(LATE) for answer in [asker.ask("double", number=1) for _ in range(50)]]
    assert {answer["error"] for answer in answers} == {"the broker took no message within 8 s; is it running?"}
    stage.broker.resume()
    wait_for(lambda: asker.told("double", number=21).get("answer") == 42, "answer")
    assert asker.state()["waiting"] == 0


def test_a_broker_that_blocks_for_want_of_memory_is_named_and_work_goes_on(stage):
    asker = stage.playing("asker+callee+builder")
    stage.broker.alarm(True)
    try:
        blocked = asker.told("double", number=1)
        assert blocked["error"] == "the broker took no message within 8 s; is it running?"
        stage.push("a")
        wait_for(lambda: stage.notes() == ["a"], "note")
    finally:
        stage.broker.alarm(False)
    wait_for(lambda: asker.told("double", number=21).get("answer") == 42, "answer")


def test_a_queue_that_was_declared_otherwise_gives_way(stage):
    with Connection(stage.url) as connection:
        for name in ("rpc-callee", "builder.on.push.received"):
            Queue(name, channel=connection, durable=True, max_length=5).declare()
    actor = stage.playing("asker+callee+builder")
    assert actor.told("double", number=21)["answer"] == 42
    assert {q["type"] for name, q in stage.queues().items() if name in ("rpc-callee", "builder.on.push.received")} == {
        "quorum"
    }
    assert actor.said("the queue rpc-callee is made anew") == actor.said("on.push.received is made anew") == 1


def test_a_queue_that_another_version_listens_to_is_named_and_taken_over_when_that_is_gone(stage):
    with Connection(stage.url) as connection:
        queue = Queue("rpc-callee", channel=connection.default_channel, durable=True)
        queue.declare()
        with Consumer(connection.default_channel, queue, on_message=lambda message: None):
            callee = stage.enter("callee")
            wait_for(lambda: callee.said("for queue 'rpc-callee' in vhost"), "word")
    asker = stage.playing("asker")
    wait_for(lambda: asker.told("double", number=21).get("answer") == 42, "answer")
    assert callee.said("the broker is not heard") == 1


def test_a_wrong_password_is_named_and_the_right_one_taken_when_it_is_there(stage):
    user = stage.url.split("/")[2].split(":")[0]
    password = stage.url.split(":")[2].split("@")[0]
    stage.broker.api("PUT", f"users/{user}", {"password": "other", "tags": ""})
    asker = stage.playing("asker")
    wait_for(lambda: asker.said("ACCESS_REFUSED"), "word")
    assert asker.said(password) == 0
    stage.broker.api("PUT", f"users/{user}", {"password": password, "tags": ""})
    wait_for(lambda: asker.state()["up"], "listening")


def test_what_is_rung_is_json_that_anyone_can_read(stage):
    stage.playing("builder")
    with Connection(stage.url) as connection:
        exchange = Exchange("builder.events", "topic", durable=True)
        queue = Queue("listener", exchange, "#", exclusive=True, channel=connection.default_channel)
        queue.declare()
        heard = []
        with Consumer(connection.default_channel, queue, on_message=heard.append):
            stage.push("a")
            while not heard:
                connection.drain_events(timeout=20)
    assert heard[0].content_type == "application/json"
    assert json.loads(heard[0].body) == {"position": 2, "type": "build.failed"}
