"""Processes on a real broker: `python -m tests.real.actors ROLE+ROLE HOME URL`. An asker asks what stdin says.

Each line of JSON on stdin is `{id, service, method, arguments}`; each on stdout `{id, answer or error, seconds}`. The
actors share a log and a file of notes in HOME.
"""

import os

os.environ.update(EVENTLET_HUB="asyncio", EVENTLET_NO_GREENDNS="yes")

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import eventlet

eventlet.monkey_patch()

import json
import logging
import sys
import time
from pathlib import Path

from eventlet import tpool
from nameko.runners import ServiceRunner
from pydantic import SecretStr

from services import consumers
from services.bus import Calls, Port, rpc
from services.chain import Cause, Draft
from services.decide import Decision, commit, conclude
from services.errors import PushlogError
from services.events import BuildFailed, NameTaken, PushReceived, name_stream
from services.hops import on
from services.serving import build_platform
from services.settings import Settings

APP = "00000000-0000-4000-8000-000000000001"


def note(platform, text):
    """Leave a trace of an effect."""
    with (platform.settings.home / "notes").open("a") as notes:
        notes.write(text + "\n")


def gives_up(event, attempts, reason):
    raise AssertionError(reason)


class Callee:
    """Answers, and leaves traces."""

    name = "callee"
    platform = Port(lambda platform: platform)

    @rpc
    def double(self, number):
        return number * 2

    @rpc
    def note(self, text):
        note(self.platform, text)

    @rpc
    def take(self, name, cause):
        stream, platform = name_stream(name), self.platform

        def decide():
            note(platform, name)
            return Decision([Draft(stream, name, NameTaken(app=APP, name=name))], {stream: 0})

        return commit(platform.log, platform.projections, decide, Cause(**cause))[0].position


class Builder:
    """Takes pushes."""

    name = "builder"
    platform = Port(lambda platform: platform)

    @on(PushReceived, until=(BuildFailed,), gives_up=gives_up)
    def pushed(self, event):
        note(self.platform, event.subject)
        conclude(self.platform.log, event, BuildFailed(app=APP, attempt=1, reason="x", output=None), "builder")


class Renamed:
    """The builder of another version, whose method is called otherwise."""

    name = "builder"

    @on(PushReceived, until=(BuildFailed,), gives_up=gives_up)
    def otherwise(self, event):
        raise AssertionError(event)


class Asker:
    """Asks."""

    name = "asker"
    call = Calls()

    @rpc
    def nothing(self):
        pass


def obey(runner):
    """Ask what stdin says."""
    calls = next(d for d in runner.service_map["asker"].dependencies if isinstance(d, Calls))

    def ask(id, service, method, arguments):
        start = time.monotonic()
        try:
            said = {"answer": calls.call(service, method, **arguments)}
        except PushlogError as error:
            said = {"error": str(error)}
        tell(id=id, seconds=time.monotonic() - start, **said)

    while line := tpool.execute(sys.stdin.readline):
        order = json.loads(line)
        if "service" in order:
            eventlet.spawn(ask, **order)
        else:
            tell(id=order["id"], answer={"waiting": len(calls.replies._reply_events), "up": consumers.up()})


def tell(**values):
    """Say something to the test."""
    print(json.dumps(values), flush=True)


def lasting(what, run, *args):
    """See services.ending.Lasting; a test has no process to end."""
    return eventlet.spawn(run, *args)


def main(roles, home, url):
    """Play the roles until stdin ends."""
    logging.basicConfig(level=logging.WARNING)
    settings = Settings(home=Path(home), broker_url=SecretStr(url))
    config = {"AMQP_URI": url, "max_workers": 500, "serializer": "json", "ACCEPT": ["json"]}
    config["platform"] = platform = build_platform(settings, config, roles.split("+"), lasting)
    runner = ServiceRunner(config)
    for role in roles.split("+"):
        runner.add_service({"asker": Asker, "callee": Callee, "builder": Builder, "renamed": Renamed}[role])
    runner.start()
    eventlet.spawn(platform.projections.follow, 2.0)
    tell(ready=True)
    if "asker" in roles:
        obey(runner)
    else:
        tpool.execute(sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
