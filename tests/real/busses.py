"""Scenes on a real bus, each run as a process of its own: `python -m tests.real.busses SCENE HOME URL`.

Prints one JSON value. nameko's services run on eventlet here, as in an instance.
"""

import os

os.environ.update(EVENTLET_HUB="asyncio", EVENTLET_NO_GREENDNS="yes")

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import eventlet

eventlet.monkey_patch()

import json
import logging.handlers
import sys
import time
from pathlib import Path

from nameko.runners import ServiceRunner
from nameko.standalone.events import get_event_exchange
from nameko.testing.services import entrypoint_hook
from pydantic import SecretStr

from services import agenda, errors
from services.bells import Doorbell
from services.bus import Calls, Port, rpc
from services.chain import Cause, Draft
from services.decide import conclude
from services.events import AppDestroyed, BuildFailed, PushReceived, app_stream, work_stream
from services.hops import at_start, on
from services.serving import build_platform
from services.settings import Settings

APP = "00000000-0000-4000-8000-000000000001"
SEEN = []


def push(platform, app=APP, number=0):
    """Record a push; returns its id."""
    event = PushReceived(app=app, ref="refs/heads/main", old=None, new=f"{number:040x}", source="sha256:" + "0" * 64)
    return platform.log.append([Draft(app_stream(app), "hello", event)], Cause("gitreceiver", "local"))[0].id


def done(platform, event):
    """Record the outcome of a push."""
    conclude(platform.log, event, failed(event, 1, "x").event, "builder")


def failed(event, attempts, reason):
    """The outcome of a push."""
    outcome = BuildFailed(app=event.data.app, attempt=attempts, reason=reason, output=None)
    return Draft(work_stream(event.id), "hello", outcome)


class Particular(errors.Refused):
    """An error of one service's own."""


class Callee:
    """Answers, refuses, breaks, or never answers."""

    name = "callee"

    @rpc
    def double(self, number):
        return number * 2

    @rpc
    def refuse(self):
        raise errors.NoSuchApp("App x does not exist")

    @rpc
    def refuse_in_particular(self):
        raise Particular("no")

    @rpc
    def break_down(self):
        raise RuntimeError("secret detail")

    @rpc
    def hang(self):
        eventlet.sleep(3600)


class Builder:
    """Takes pushes."""

    name = "builder"
    call = Calls()
    platform = Port(lambda platform: platform)
    fails = 0
    silences = False

    @on(PushReceived, until=(BuildFailed,), gives_up=failed, limit=2)
    def pushed(self, event):
        SEEN.append((event.data.app[-1], int(event.data.new, 16), time.monotonic()))
        if Builder.fails:
            Builder.fails -= 1
            raise RuntimeError("not yet")
        eventlet.sleep(0.05)
        done(self.platform, event)
        if Builder.silences:
            self.platform.projections.catch_up = silent

    @on(AppDestroyed)
    def destroyed(self, event):
        SEEN.append("destroyed")

    @at_start
    def begin(self):
        SEEN.append("started")
        if len(SEEN) == 1:
            raise errors.Unavailable("once")

    @rpc
    def ask(self, method, **arguments):
        try:
            return self.call("callee", method, **arguments)
        except errors.PushlogError as error:
            return [type(error).__name__, error.exit_code, str(error)]

    @rpc
    def ask_hung(self):
        hung = [eventlet.spawn(self.ask, "hang") for _ in range(30)]
        return [self.ask("double", number=1), hung[0].wait()]

    @rpc
    def ask_nobody(self):
        try:
            return self.call("nobody", "x")
        except errors.PushlogError as error:
            return [type(error).__name__, error.exit_code, str(error)]


def wait_for(look):
    """Wait until `look` is true, at most 15 s."""
    with eventlet.Timeout(15):
        while not look():
            eventlet.sleep(0.005)


def ask(runner, method, *args, **kwargs):
    """What the builder answers."""
    with entrypoint_hook(runner.service_map["builder"], method) as hook:
        return hook(*args, **kwargs)


def answers(runner, platform):
    return [
        ask(runner, "ask", "double", number=21),
        ask(runner, "ask", "refuse"),
        ask(runner, "ask", "refuse_in_particular"),
        ask(runner, "ask", "break_down"),
    ]


def deadline(runner, platform):
    start = time.monotonic()
    alive, hung = ask(runner, "ask_hung")
    return [alive, hung, ask(runner, "ask_nobody")[0], time.monotonic() - start < 25]


def pushes(runner, platform):
    ids = [push(platform, APP, n) for n in range(3)] + [push(platform, APP[:-1] + "2", n) for n in range(3)]
    wait_for(lambda: platform.projections.position == 2 * len(ids))
    return [entry[:2] for entry in SEEN if entry[:1] in (("1",), ("2",))]


def failing(runner, platform):
    Builder.fails = 2
    push(platform)
    wait_for(lambda: platform.projections.position == 2)
    times = [entry[2] for entry in SEEN if entry[0] == "1"]
    return [len(times), times[1] - times[0] > 0.4, times[2] - times[1] > 0.9]


def hopeless(runner, platform):
    """Two pushes fail by a fault whenever they are tried; the third one of their app does not."""
    agenda.BACK_OFF = (0.01,)
    Builder.fails = 2 * agenda.TRIES
    logged = logging.handlers.BufferingHandler(1000)
    logging.getLogger("pushlog").addHandler(logged)
    for number in range(3):
        push(platform, number=number)
    wait_for(lambda: platform.projections.position == 6)
    tries = [sum(entry[1] == number for entry in SEEN if entry[0] == "1") for number in range(3)]
    reasons = [event.data.reason for event in platform.log.read(0) if event.type == "build.failed"]
    return [tries, reasons, sum(record.exc_info is not None for record in logged.buffer)]


def log_away(runner, platform):
    """Work fails for longer than it is tried while the log does not answer; nothing is given up for that."""
    agenda.BACK_OFF = (0.01,)
    Builder.fails = 3 * agenda.TRIES
    push(platform)
    wait_for(lambda: SEEN)
    platform.projections.catch_up = unanswered
    wait_for(lambda: not Builder.fails)
    del platform.projections.catch_up
    wait_for(lambda: platform.projections.position == 2)
    return [event.data.reason for event in platform.log.read(0) if event.type == "build.failed"]


def unanswered():
    """A log that does not answer."""
    raise errors.Unavailable("the log's database: busy")


def silent():
    """A log that does not answer."""
    Builder.silences = False
    raise errors.Unavailable("the log's database: busy")


def interrupted(runner, platform):
    """The log does not answer when a hop ends; later it does."""
    Builder.silences = True
    push(platform)
    wait_for(lambda: SEEN and not Builder.silences)
    del platform.projections.catch_up
    push(platform, number=1)
    wait_for(lambda: platform.projections.position == 4)
    return sorted({entry[1] for entry in SEEN if entry[0] == "1"})


def muted(runner, platform):
    """The bus does not answer for a moment."""
    published = []

    def publish(source, type, body):
        if not published:
            published.append("lost")
            raise errors.Unavailable("the broker took no message")
        published.append(body["type"])

    doorbell = Doorbell(publish)
    eventlet.spawn(doorbell.run)
    for count in (1, 2):
        push(platform, number=count)
        doorbell.ring(platform.log.read(0, 1))
        wait_for(lambda count=count: len(published) == count)
    return published


def destroyed(runner, platform):
    event = AppDestroyed(app=APP, name="hello")
    platform.log.append([Draft(app_stream(APP), "hello", event)], Cause("configsvc", "local"))
    wait_for(lambda: "destroyed" in SEEN)
    return SEEN.count("destroyed")


def beginning(runner, platform):
    wait_for(lambda: SEEN.count("started") == 2)
    return SEEN.count("started")


def late(runner, platform):
    """What was recorded while no builder ran is done when one starts."""
    wait_for(lambda: platform.projections.position == 2)
    return [entry[:2] for entry in SEEN if entry[0] == "1"]


def unsendable(runner, platform):
    """Something is to be sent that is no JSON."""
    container = next(iter(runner.containers))
    post, exchange = container.config["post"], get_event_exchange("nobody", container.config)
    outcomes = []
    for payload in ({"x": object()}, {"x": 1}):
        try:
            post.publish(payload, exchange=exchange, routing_key="x")
            outcomes.append("sent")
        except Exception as error:
            outcomes.append(type(error).__name__)
    return outcomes


PLAYED = (
    answers, deadline, pushes, failing, interrupted, hopeless, log_away, muted, destroyed, beginning, late, unsendable
)  # fmt: skip
SCENES = {scene.__name__: scene for scene in PLAYED}


def lasting(what, run, *args):
    """See services.ending.Lasting; a test has no process to end."""
    return eventlet.spawn(run, *args)


def main(scene, home, url):
    """Run one scene."""
    settings = Settings(home=Path(home), broker_url=SecretStr(url))
    config = {"AMQP_URI": settings.broker_url.get_secret_value(), "max_workers": 100, "serializer": "json"}
    config["platform"] = platform = build_platform(settings, config, ["bus"], lasting)
    if scene == "late":
        push(platform, number=7)
    runner = ServiceRunner(config)
    runner.add_service(Callee)
    runner.add_service(Builder)
    runner.start()
    platform.projections.catch_up()
    eventlet.spawn(platform.projections.follow, 2.0)
    print(json.dumps(SCENES[scene](runner, platform)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
