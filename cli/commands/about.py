"""What this is, and how it is used."""

import click

from cli import manual
from cli.table import Context, command
from cli.values import Text, Value
from services.version import VERSION

DOKKU_VERSION = "0.38.27"
"""What Dokku clients are told: they choose their formats by it."""


@command("version", owner="", needs="nothing")
def version(ctx: Context) -> Value:
    """Print Pushlog's version."""
    if ctx.user == "dokku":
        return Text(f"dokku version {DOKKU_VERSION} (pushlog {VERSION})")
    return Text(f"pushlog version {VERSION}")


@command("help", owner="", needs="nothing")
@click.argument("topic", required=False)
@click.option("--all", "everything", is_flag=True, help="Every command with its flags.")
def help_(_ctx: Context, topic: str | None, everything: bool) -> Value:
    """Show how commands are used: all in short, or those of a noun, or one."""
    return Text(manual.of(topic, everything=everything))
