"""Backups of the whole instance: one archive on stdout, or on stdin. The local command also takes files."""

from typing import Any

import click

from cli.table import Context, command
from cli.values import Code, Done, Pairs, Value
from services.errors import BadInput
from services.moments import moment

HERE = "only the local pushlog command takes a file"


def _elsewhere(_ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Refuse a file, but `-`: the local command has taken those that it was given."""
    if value is not None and (value != "-" or isinstance(param, click.Option)):
        raise BadInput(f"{param.opts[0]}: {HERE}; allowed here are stdin and stdout")


def _archive(command: Any) -> Any:
    """The arguments that name files on the side of the local command, which takes them off the line."""
    option = click.option(
        "--passphrase-file",
        metavar="F",
        expose_value=False,
        callback=_elsewhere,
        help="The passphrase that seals the keys, in a file (local command only).",
    )
    return click.argument("file", required=False, expose_value=False, callback=_elsewhere)(option(command))


@command("backup:export", owner="gitreceiver", needs="admin")
@_archive
@click.option("--images", is_flag=True, help="With the images that serve, so that none has to be built again.")
def export(ctx: Context, images: bool) -> Value:
    """Write a backup of the whole instance, while it works, to stdout or (local command only) a file."""
    if ctx.tty:
        raise BadInput("backup: a terminal shows no archive; allowed are a FILE, a pipe and a redirection")
    ctx.export_backup(images=images)
    return Code(0)


@command("backup:verify", owner="gitreceiver", needs="admin", json=True, reads_stdin=True)
@_archive
def verify(ctx: Context) -> Value:
    """Check the backup on stdin, or (local command only) in a file, by replaying it; nothing is changed."""
    found = ctx.verify_backup()
    return Pairs("Backup", {key: str(value) for key, value in found.items()})


@command("backup:import", owner="gitreceiver", needs="admin", records=True, reads_stdin=True)
@_archive
@click.option("--until", metavar="P|T", help="As it was at a position of the log, or at a time.")
def import_(ctx: Context, until: str | None) -> Value:
    """Become the instance of the backup on stdin, or (local command only) in a file. This one must be empty."""
    found = ctx.import_backup(None if until is None else moment(until), dry_run=ctx.dry_run)
    what = f"{_many(found['apps'], 'app')} with {_many(found['events'], 'event')}, up to {found['head']}"
    if ctx.dry_run:
        return Done(f"Would import {what}", notes=["Nothing was changed"])
    return Done(f"Imported {what}", notes=["Apps come up as soon as their images are there; see: pushlog ps:report"])


def _many(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
