"""What a process of the platform does: it waits for its parts, plays its roles, runs its services, and stops."""

import importlib
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar

import eventlet
from amqp.exceptions import AMQPError  # type: ignore[import-untyped]
from eventlet import tpool
from eventlet.event import Event as Promise
from eventlet.hubs import get_hub
from kombu import Connection
from kombu.exceptions import KombuError
from nameko.standalone.events import get_event_exchange

from services import bells, eventlog, healthz, instance, keyring, oom, ownlog
from services.chain import uuid7
from services.ending import Ending, Lasting, Stop, hurry
from services.errors import Unavailable
from services.health import RUNNING, STANDBY, STARTING, Health
from services.offloop import OffLoop
from services.ownlog import OwnLog
from services.platform import Platform, assemble, ringing
from services.post import Post
from services.processes import Processes
from services.settings import Settings
from services.snapshots import Snapshots, code_identity

log = logging.getLogger("pushlog")

CHECKED = ("gitreceiver", "router")
SINGLE = ("gitreceiver", "router")
STOP_GRACE = 5.0
POLL = 2.0
AGAIN = 1.0
WORKERS = 500
OUTPUT_KEPT = 86400.0
"""Seconds for which live output is kept that nobody saw the end of: a story that is under way may need it."""

T = TypeVar("T")


def serve(settings: Settings, services: Sequence[str]) -> None:
    """Run the services in this process until it is told to stop, which ends it.

    One that shares its log with others waits for the database and the broker, stands by while another process plays a
    role that only one may play, and then waits for its port: who had the role may stand still and hold it, until it is
    killed or goes on and ends. Raises Refused when the home is another's, and Unavailable, if this process is alone,
    when a port is taken or the log cannot be opened.
    """
    own = ownlog.listening()
    log.setLevel(logging.INFO)
    logging.getLogger("nameko.containers").setLevel(logging.ERROR)  # an error a user sees is not a fault
    oom.protect()
    ending = Ending()
    for number in (signal.SIGTERM, signal.SIGINT):  # the loop's own handlers: Python's do not wake it
        get_hub().loop.add_signal_handler(number, ending.stop, 0)
    try:
        home = instance.locked(settings, serving=True) if len(services) > 1 else instance.joined(settings)
        with ownlog.prints_too(), home, healthz.told(settings, services, ending.lasting) as health:
            _work(settings, services, ending, health, own)
    except Stop as told:
        logging.shutdown()
        os._exit(told.code)
    except BaseException:
        hurry()
        raise


def _work(settings: Settings, services: Sequence[str], ending: Ending, health: Health, own: OwnLog) -> None:
    config = {
        "AMQP_URI": settings.broker_url.get_secret_value(),
        "max_workers": WORKERS,
        "serializer": "json",
        "ACCEPT": ["json"],
    }
    platform = config["platform"] = build_platform(settings, config, services, ending.lasting)
    ending.lasting("the watch over its health", healthz.watch, health, platform)
    with ExitStack() as roles:
        roles.callback(healthz.leave, platform)
        _until_there(settings, lambda: _ask_broker(settings), health)
        for name in services:
            if name in SINGLE:
                health.state = STANDBY
                _play(name, platform, roles, ending)
        health.state = STARTING
        for name in services:
            if name in CHECKED:
                _until_there(settings, partial(importlib.import_module(f"{name}.ready").check, settings), health)
        if "gitreceiver" in services:
            platform.outputs.forget(OUTPUT_KEPT)
        runner = ending.runner(config)
        for name in services:
            runner.add_service(service_class(name))
        with _running(runner):
            _until_there(settings, platform.projections.catch_up, health)
            roles.callback(_end, platform)
            ending.lasting("the reader of the log", platform.projections.follow, POLL)
            _until_heard(health)
            health.state = RUNNING
            if settings.alone:  # then the home is this process's; `up --detach` reads one file until here
                own.renew(instance.log_file(settings.home))
            with instance.ready(settings):
                log.info("ready: %s", ", ".join(services))
                Promise().wait()


def _play(name: str, platform: Platform, roles: ExitStack, ending: Ending) -> None:
    """Wait until this process is the one that runs the service; stop it when another took that over."""
    log.debug("waiting for the role of %s", name)
    mine = roles.enter_context(platform.claims.playing(name))

    def watch() -> None:
        while mine():
            eventlet.sleep(AGAIN)
        log.error("another process took over as %s; this one ends", name)
        ending.stop(1)

    ending.lasting(f"the watch over the role of {name}", watch)


@contextmanager
def _running(runner: Any) -> Iterator[None]:
    """Run the services; at the end their sessions get a moment, and other work is taken up from the log later."""
    try:
        runner.start()
        yield
    finally:
        with eventlet.Timeout(STOP_GRACE, False):
            list(eventlet.GreenPool().imap(lambda container: container.entrypoints.all.stop(), runner.containers))


def _end(platform: Platform) -> None:
    """Do what the services still have to, and write a snapshot for the next start, if that is soon done."""
    with eventlet.Timeout(STOP_GRACE, False):
        for ending in platform.endings:
            try:
                ending()
            except Unavailable as error:
                log.warning("lost at the end: %s", error)
        platform.projections.keep()


def _until_there(settings: Settings, ask: Callable[[], T], health: Health | None = None) -> T:
    """What `ask` returns once it raises Unavailable no more; who is alone does not wait. `health` tells what for."""
    said = ""
    while True:
        try:
            there = ask()
        except Unavailable as error:
            if settings.alone:
                raise
            if said != str(error):
                said = str(error)
                log.warning("waiting: %s", said)
        else:
            said = ""
            return there
        finally:
            if health:
                health.waits = said
        eventlet.sleep(AGAIN)


def _until_heard(health: Health) -> None:
    """Wait until questions reach the services; what the log asks for they do meanwhile."""
    while not health.hears_broker():
        health.waits = "the services do not hear the broker"
        eventlet.sleep(AGAIN)
    health.waits = ""


def _ask_broker(settings: Settings) -> None:
    try:
        with Connection(settings.broker_url.get_secret_value(), connect_timeout=AGAIN * 5) as connection:
            connection.connect()
    except (AMQPError, KombuError, OSError) as error:
        raise Unavailable(f"the broker does not answer: {error}") from None


def service_class(name: str) -> type:
    """The nameko service of the folder `name`."""
    cls: type = importlib.import_module(f"{name}.service").Service
    return cls


def build_platform(settings: Settings, config: dict[str, Any], services: Sequence[str], lasting: Lasting) -> Platform:
    """Open the log and everything around it, with database calls in a thread of their own and doorbells rung."""
    off_loop = OffLoop()
    opened, engine = _until_there(settings, lambda: tpool.execute(eventlog.open_log, settings.database))
    if settings.alone:
        opened.drop_leases()
    given = settings.master_key.get_secret_value() if settings.master_key else None
    master = keyring.master_key(settings.home / "master.key", given)
    master.known()  # one that is none is said to be so at once
    ring = keyring.Keyring(engine, master)
    post = config["post"] = Post(config["AMQP_URI"])
    lasting("the post", post.run)

    def publish(source: str, type: str, body: dict[str, Any]) -> None:
        post.publish(body, exchange=get_event_exchange(source, config), routing_key=type)

    doorbell = bells.Doorbell(publish)
    lasting("the doorbell", doorbell.run)
    holder = f"{os.uname().nodename}/{uuid7()}"
    processes = None if settings.alone else off_loop.wrap(Processes(engine, holder))
    announced = ringing(off_loop.wrap(opened), doorbell.ring)
    folds = Snapshots(settings.home / "snapshots" / "-".join(services), code_identity([*services, "services"]))
    platform = assemble(
        settings, announced, off_loop.wrap(ring), holder, processes=processes, snapshots=off_loop.wrap(folds)
    )
    platform.projections.listen(keyring.Forgetting(ring))
    return platform
