"""The log, as a stream of events."""

import click

from cli import arguments
from cli.table import Context, command
from cli.values import Events, Value, Wanted
from services import names
from services.errors import BadInput
from services.events import CATALOGUE
from services.moments import Moment, moment

MAX_EVENTS = 10_000
PLUGINS = "x."


def _type(word: str) -> str:
    """`release.created`, or `release.*`."""
    group = word.removesuffix("*")
    known = word in CATALOGUE or any(
        group != word and group.endswith(".") and name.startswith(group) for name in CATALOGUE
    )
    if not known and not word.startswith(PLUGINS):
        raise BadInput(f"type: {names.shown(word)} is no event's; allowed are such as release.created, or release.*")
    return word


def _types(_ctx: click.Context, _param: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_type, words))


def _actor(word: str) -> str:
    if not names.matches(names.FINGERPRINT_PATTERN, word) and not names.matches(names.KEY_NAME_PATTERN, word):
        raise BadInput(
            f"actor: {names.shown(word)} is nobody's name; allowed are a key's name or fingerprint, local, or a service"
        )
    return word


def _moment(_ctx: click.Context, _param: click.Parameter, word: str | None) -> Moment | None:
    return None if word is None else moment(word)


@command("events", owner="gitreceiver", needs="read", json=True)
@arguments.some_app
@click.option("-n", "--num", "last", type=click.IntRange(0, MAX_EVENTS), help="Only the last ones, so many.")
@click.option("-t", "--tail", is_flag=True, help="Go on with what happens.")
@click.option(
    "--since", metavar="POSITION|TIME", callback=_moment, help="What came after a position, or from a time on."
)
@click.option("--until", metavar="POSITION|TIME", callback=_moment, help="Up to a position or a time.")
@click.option("--type", "types", multiple=True, callback=_types, help="Of a type: release.created, or release.*")
@click.option(
    "--actor", callback=arguments.checked(_actor), help="By a key (name or fingerprint), local, or a service."
)
def events(
    ctx: Context,
    app: str | None,
    last: int | None,
    tail: bool,
    since: Moment | None,
    until: Moment | None,
    types: tuple[str, ...],
    actor: str | None,
) -> Value:
    """Show what happened: position, time, type, subject, actor and the short of it."""
    if tail and until is not None:
        raise BadInput("--until: what is followed has no end; run it without --tail or without --until")
    return Events(ctx.events(Wanted(app, types, actor, since, until, last, tail)))
