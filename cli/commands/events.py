"""The log, as a stream of events."""

import click

from cli import arguments
from cli.table import Context, command
from cli.values import Events, Value


@command("events", owner="gitreceiver", needs="read", json=True)
@arguments.some_app
@click.option("-t", "--tail", is_flag=True, help="Go on with what happens.")
def events(ctx: Context, app: str | None, tail: bool) -> Value:
    """Show what happened: position, time, type, subject, actor and the short of it."""
    return Events(ctx.events(app=app, tail=tail))
