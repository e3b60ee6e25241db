"""The commands about the platform's own processes, such as `pushlog up`, `down`, `status` and `service`."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from services import instance
from services.errors import BadInput, PushlogError
from services.settings import load
from services.terminal import harmless

SERVICES = ("configsvc", "builder", "deployer", "router", "gitreceiver")
PURGED = ("router", "deployer", "builder")


def say(text: str) -> None:
    """Talk goes to stderr, so that results on stdout can be piped."""
    click.echo(shown(text), err=True)


def shown(text: str) -> str:
    """Text as a terminal may have it."""
    return harmless(text.encode(errors="backslashreplace")).decode()


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
        become("services.process")


def become(module: str, *arguments: str) -> None:
    """Go on as another program: a process of the platform must be set up before anything is imported."""
    os.execve(sys.executable, instance.program(module, *arguments), instance.environment())  # noqa: S606


@platform.command()
@click.argument("name", type=click.Choice(SERVICES), metavar="NAME")
def service(name: str) -> None:
    """Run one service in this process: configsvc, builder, deployer, router or gitreceiver.

    All of them, each in one or more processes, make an instance on PostgreSQL and RabbitMQ. They may start in any
    order. Of router and gitreceiver one process is active, and further ones stand by.
    """
    settings = load()
    if settings.alone:
        raise BadInput("PUSHLOG_LOG_URL: services in processes of their own share a log; allowed is postgresql://…")
    if settings.broker_url.get_secret_value().startswith("inprocess:"):
        raise BadInput("PUSHLOG_BROKER_URL: services in processes of their own need a broker; allowed is amqp://…")
    become("services.process", name)


@platform.command()
def prepare() -> None:
    """Make or upgrade the log's tables on PostgreSQL, as the role of PUSHLOG_LOG_OWNER_URL.

    The role of PUSHLOG_LOG_URL then may append and read, and neither change nor delete.
    """
    settings = load()
    if settings.alone or settings.log_owner_url is None:
        raise BadInput(
            "PUSHLOG_LOG_OWNER_URL and PUSHLOG_LOG_URL: not both set; allowed are the URLs of one PostgreSQL database, "
            "of the role that owns the tables and of the one that uses them"
        )
    importlib.import_module("services.database").prepare(settings.log_owner_url.get_secret_value(), settings.database)
    say("-----> The log's tables are ready")


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
    """Tell how the instance does, within 10 s; exit code 1 when something is amiss.

    Any process of it may be asked. What cannot be seen from there is said to be so, and counts as nothing amiss.
    """
    report = importlib.import_module("services.status")
    settings = load()
    seen = report.look(settings)
    click.echo(shown(report.as_json(seen) if format_ == "json" else report.text(seen)))
    if not seen.well:
        sys.exit(1)


@platform.command("install-service")
@click.option("--user", is_flag=True, help="A unit of your own rather than the system's.")
@click.option("--service", type=click.Choice(SERVICES), help="A unit of one service, for a cluster.")
@click.option("--print", "print_", is_flag=True, help="Show the unit and change nothing.")
def install_service(user: bool, service: str | None, print_: bool) -> None:
    """Have systemd start the platform at boot, with the PUSHLOG_… variables that are set now.

    Run it again after a change of these. What `pushlog.toml` says is read at each start.
    """
    systemd = importlib.import_module("services.systemd")
    unit = systemd.Unit(load(), user, service or "")
    if print_:
        click.echo(unit.text, nl=False)
    else:
        systemd.install(unit, os.environ, say)


@platform.command("uninstall-service")
@click.option("--user", is_flag=True, help="The unit of your own rather than the system's.")
@click.option("--service", type=click.Choice(SERVICES), help="The unit of one service.")
def uninstall_service(user: bool, service: str | None) -> None:
    """Stop what `install-service` installed, and remove it. Apps keep serving."""
    systemd = importlib.import_module("services.systemd")
    systemd.uninstall(systemd.Unit(load(), user, service or ""), say)


def main(argv: Sequence[str]) -> int:
    """Run one of these commands with its arguments; returns the exit code."""
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
        say(f" !     {' '.join(error.format_message().split())}")
        return 1
    except click.Abort:
        return 130
    return 0


@dataclass(frozen=True)
class Streams:
    """Where a command's input comes from and its output goes, as descriptors, and a passphrase that it was given."""

    input: int = 0
    output: int = 1
    passphrase: str | None = field(default=None, repr=False)


OFFLINE = {
    "ssh-keys:add": "gitreceiver.offline",
    "backup:export": "gitreceiver.offline",
    "backup:import": "gitreceiver.offline",
    "backup:verify": "gitreceiver.offline",
    "log:blame": "gitreceiver.offline",
    "log:diff": "gitreceiver.offline",
    "log:rekey": "gitreceiver.offline",
    "log:replay": "gitreceiver.offline",
    "log:undo": "gitreceiver.offline",
    "log:verify": "gitreceiver.offline",
}
"""The commands that work while no instance runs; the module whose `run` does them, under the home's lock."""


def offline(name: Sequence[str], argv: Sequence[str], streams: Streams) -> int | None:
    """Run the command line `argv`, whose command is `name`, while no instance runs; None: it needs one."""
    module = OFFLINE.get("".join(name))
    if module is None:
        return None
    codes: list[int] = []

    importlib.import_module("services.ownlog").listening()
    return guarded(lambda: codes.append(importlib.import_module(module).run(load(), argv, streams))) or codes[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
