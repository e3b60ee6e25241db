"""What an app's processes said, kept across deploys."""

from collections.abc import Iterator, Sequence

import click

from cli import arguments
from cli.table import Context, command
from cli.values import LogLines, Record, Value
from services import names

POLL = 0.5
DEFAULT_LINES = 100
MAX_LINES = 10_000
"""At once. An app that prints more between two looks has the newest shown."""


def _process(word: str) -> str:
    """`web` or `web.1`."""
    process, _, number = word.partition(".")
    names.process_type(process)
    if number:
        names.scale(number)
    return word


@command("logs", owner="deployer", needs="read", json=True)
@arguments.app
@click.option("-n", "--num", type=click.IntRange(0, MAX_LINES), default=DEFAULT_LINES, help="How many lines.")
@click.option("-t", "--tail", is_flag=True, help="Go on with what comes.")
@click.option("-p", "--ps", "process", callback=arguments.checked(_process), help="Of one process: web, or web.1.")
def logs(ctx: Context, app: str, num: int, tail: bool, process: str | None) -> Value:
    """Show an app's last log lines; with -q without time and process."""
    return LogLines(_lines(ctx, app, num, process, tail=tail), ctx.quiet)


def _lines(ctx: Context, app: str, num: int, process: str | None, *, tail: bool) -> Iterator[Sequence[Record]]:
    answer = ctx.call("deployer", "logs", name=app, lines=max(num, 1), process=process, since=None)
    yield answer["lines"] if num else []  # the line that nobody asked for gives the cursor to go on from
    while tail:
        ctx.pause(POLL)
        answer = ctx.call("deployer", "logs", name=app, lines=MAX_LINES, process=process, since=answer["cursor"])
        yield answer["lines"]
