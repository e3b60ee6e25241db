"""Starts and stops the platform (`pushlog up`, `down`, `status`) and loads its services by name."""

import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from services import instance
from services.errors import PushlogError
from services.settings import Settings, load

if TYPE_CHECKING:
    from services.platform import Platform

SERVICES = ("configsvc", "builder", "deployer", "router", "gitreceiver")
CHECKED = ("gitreceiver", "router")
PURGED = ("router", "deployer", "builder")
STOP_GRACE = 5.0
POLL = 2.0
WORKERS = 500


def say(text: str) -> None:
    """Talk goes to stderr, so that results on stdout can be piped."""
    click.echo(text, err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def platform() -> None:
    """Run Pushlog itself on this machine."""


@platform.command()
@click.option("--detach", is_flag=True, help="Run in the background; return when the instance answers.")
def up(detach: bool) -> None:
    """Start every service in one process, with SQLite and the in-process bus."""
    settings = load()
    if detach:
        instance.detach(settings, say)
    else:
        os.execv(sys.executable, [sys.executable, "-m", "services.embedded"])  # noqa: S606 the same program, set up anew


@platform.command()
@click.option("--purge", is_flag=True, help="Also remove every container, image, network, volume and file of it.")
@click.option("--force", is_flag=True, help="Do not ask.")
def down(purge: bool, force: bool) -> None:
    """Stop the platform's process. Apps and nginx keep serving, unless --purge."""
    settings = load()
    if purge and not force:
        typed = click.prompt(
            f" !     This destroys every app of the instance. Type {settings.instance} to go on", err=True
        )
        if typed != settings.instance:
            raise PushlogError("instance: that is not its name; nothing was done")
    instance.stop(settings, say)
    if purge:
        with instance.locked(settings):
            say(f"-----> Removing everything of {settings.instance}")
            for name in PURGED:
                importlib.import_module(f"{name}.purge").purge(settings)
        instance.remove_home(settings)


@platform.command()
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
def status(format_: str) -> None:
    """Tell how the instance does; exit code 1 when a part of it does not do well."""
    report = importlib.import_module("services.status")
    settings = load()
    parts = report.look(settings)
    click.echo(report.as_json(settings, parts) if format_ == "json" else report.text(settings, parts))
    if not all(part.well for part in parts):
        sys.exit(1)


def main(argv: Sequence[str]) -> int:
    """Run `up`, `down` or `status` with its arguments; returns the exit code."""
    return guarded(lambda: platform.main(args=list(argv), prog_name="pushlog", standalone_mode=False))


def guarded(run: Callable[[], Any]) -> int:
    """Run it; an error becomes a sentence on stderr and an exit code."""
    try:
        run()
    except PushlogError as error:
        for line in str(error).splitlines():
            say(f" !     {line}")
        return error.exit_code
    except click.ClickException as error:
        say(f" !     {error.format_message()}")
        return 1
    except click.Abort:
        return 130
    return 0


def serve(settings: Settings, services: Sequence[str] = SERVICES) -> None:
    """Run the services in this process until it is told to stop.

    Raises Refused when another process holds the home, Unavailable when a port is taken.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("pushlog").setLevel(logging.INFO)
    logging.getLogger("nameko.containers").setLevel(logging.ERROR)  # an error a user sees is not a fault
    with instance.locked(settings):
        for name in CHECKED:
            importlib.import_module(f"{name}.ready").check(settings)
        _serve_locked(settings, services)


def _serve_locked(settings: Settings, services: Sequence[str]) -> None:
    import eventlet
    from eventlet.event import Event as Promise
    from eventlet.hubs import get_hub
    from nameko.runners import ServiceRunner

    ready = settings.home / "run" / "ready"
    ready.unlink(missing_ok=True)
    config: dict[str, Any] = {
        "AMQP_URI": settings.broker_url.get_secret_value(),
        "max_workers": WORKERS,
        "serializer": "json",
        "ACCEPT": ["json"],
    }
    config["platform"] = build_platform(settings, config)
    runner = ServiceRunner(config)
    for name in services:
        runner.add_service(service_class(name))
    stopping = Promise()
    for number in (signal.SIGTERM, signal.SIGINT):  # the loop's own handlers: Python's do not wake it
        get_hub().loop.add_signal_handler(number, lambda: stopping.ready() or stopping.send())
    runner.start()
    eventlet.spawn(config["platform"].projections.follow, POLL).link(_ended, "the log", stopping)
    eventlet.spawn(runner.wait).link(_ended, "a service", stopping)
    ready.write_text(str(os.getpid()))
    logging.getLogger("pushlog").info("ready: ssh on port %d, http on port %d", settings.ssh_port, settings.http_port)
    code = stopping.wait() or 0
    ready.unlink(missing_ok=True)
    with eventlet.Timeout(STOP_GRACE, False):  # sessions may end; other work is taken up from the log at the next start
        list(eventlet.GreenPool().imap(lambda container: container.entrypoints.all.stop(), runner.containers))
    logging.shutdown()
    os._exit(code)


def _ended(thread: Any, what: str, stopping: Any) -> None:
    """Stop the process with exit code 1 when what should go on for ever ended: better gone than half there."""
    try:
        thread.wait()
    except Exception:  # the operator sees it in the log
        logging.getLogger("pushlog").exception("%s ended", what)
    if not stopping.ready():
        stopping.send(1)


def service_class(name: str) -> type:
    """The nameko service of the folder `name`."""
    cls: type = importlib.import_module(f"{name}.service").Service
    return cls


def build_platform(settings: Settings, config: dict[str, Any]) -> "Platform":
    """Open the log and everything around it, with database calls in a thread of their own and doorbells rung."""
    import eventlet
    from nameko.amqp.publish import Publisher
    from nameko.standalone.events import get_event_exchange

    from services import bus, eventlog, keyring
    from services.chain import uuid7
    from services.offloop import OffLoop
    from services.platform import assemble, ringing

    off_loop = OffLoop()
    log, engine = eventlog.open_log(settings.database)
    log.drop_leases()
    given = settings.master_key.get_secret_value() if settings.master_key else None
    ring = keyring.Keyring(engine, keyring.master_key(settings.home / "master.key", given))
    publisher = Publisher(config["AMQP_URI"], mandatory=False, use_confirms=False)

    def publish(source: str, type: str, body: dict[str, Any]) -> None:
        exchange = get_event_exchange(source, config)
        publisher.publish(body, exchange=exchange, routing_key=type, declare=[exchange])

    doorbell = bus.Doorbell(publish)
    eventlet.spawn(doorbell.run)
    parts = assemble(
        settings, ringing(off_loop.wrap(log), doorbell.ring), off_loop.wrap(ring), f"{os.uname().nodename}/{uuid7()}"
    )
    parts.outputs.clear()
    return parts


def offline(argv: Sequence[str], read_stdin: Callable[[], bytes]) -> int | None:
    """Run a command that works while no instance runs, under the home's lock; None: this is no such command.

    Today that is `ssh-keys:add NAME`, so that the first key can be there before the door opens.
    """
    if len(argv) != 2 or argv[0] != "ssh-keys:add":
        return None
    return guarded(lambda: _add_key_offline(argv[1], read_stdin().decode(errors="replace")))


def _add_key_offline(name: str, public_key: str) -> None:
    from services import chain, decide, eventlog
    from services.projections import Projections

    keys, state = importlib.import_module("gitreceiver.keys"), importlib.import_module("gitreceiver.state").State()
    settings = load()
    with instance.locked(settings):
        log, _ = eventlog.open_log(settings.database)
        projections = Projections(log)
        projections.add(state)
        cause = chain.Cause("gitreceiver", "local", "local", f"ssh-keys:add {name}")
        decide.commit(log, projections, lambda: keys.add(state, name, public_key), cause)
    click.echo(state.key_named(name).fingerprint)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
