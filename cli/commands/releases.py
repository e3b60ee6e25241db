"""An app's numbered releases, and the way back to one."""

import re
from collections.abc import Mapping

import click

from cli import arguments
from cli.render import say
from cli.table import Context, command
from cli.values import Done, Listing, Pairs, Value
from services import names
from services.errors import BadInput

KEPT = ("config", "formation", "domains")


def _number(_ctx: click.Context, _param: click.Parameter, word: str | None) -> int | None:
    """`v3` or `3` as a release's number."""
    if word is None:
        return None
    if not (found := re.fullmatch(r"v?([1-9][0-9]{0,8})", word)):
        raise BadInput(f"release: {names.shown(word)} is not a release; allowed is a number of releases, such as v3")
    return int(found[1])


def _keep(_ctx: click.Context, _param: click.Parameter, words: tuple[str, ...]) -> list[str]:
    kept = [word for word in ",".join(words).split(",") if word]
    if unknown := [word for word in kept if word not in KEPT]:
        raise BadInput(f"keep: {names.shown(unknown[0])} cannot be kept; allowed are {', '.join(KEPT)}")
    return arguments.once("keep", kept)


release = click.argument("release", required=False, metavar="[v<n>]", callback=_number)


@command("releases", owner="configsvc", needs="read", json=True, at=True, aliases=("releases:list",))
@arguments.app
def releases(ctx: Context, app: str) -> Value:
    """List an app's releases, the newest first."""
    columns = {"number": "v{}", "status": "{}", "change": "{}", "by": "{}", "when": "{:.19}"}
    return Listing(f"{app} releases", ctx.call("configsvc", "releases", name=app), columns)


@command("releases:info", owner="configsvc", needs="read", json=True, at=True)
@arguments.app
@release
def info(ctx: Context, app: str, release: int | None) -> Value:
    """Show what a release is; without a number the current one."""
    found = ctx.call("configsvc", "release", name=app, number=release)
    return Pairs(f"{app} v{found['number']}", {key: _text(value) for key, value in found.items()})


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{process}={number}" for process, number in sorted(value.items()))
    return " ".join(value) if isinstance(value, list) else str(value)


@command("rollback", owner="configsvc", needs="write", records=True, aliases=("releases:rollback",))
@arguments.app
@release
@click.option(
    "--keep", multiple=True, metavar="config,formation,domains", callback=_keep, help="Leave these as they are."
)
def rollback(ctx: Context, app: str, release: int | None, keep: list[str]) -> Value:
    """Deploy an older release again: code, config, scale and domains; without a number the one that served before."""
    plan = ctx.call("configsvc", "rollback_plan", name=app, number=release, keep=keep)
    number = plan["release"]
    say(ctx, f"Rolling back {app} to v{number}", plan["changes"])
    answer = ctx.call("configsvc", "rollback", name=app, number=number, keep=keep)
    return Done("", correlation=answer["correlation"])
