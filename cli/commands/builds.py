"""An app's builds and what they printed."""

import click

from cli import arguments
from cli.table import Context, command
from cli.values import Listing, Text, Value
from services import names
from services.errors import BadInput

BUILD_PATTERN = r"^[A-Za-z0-9-]{1,64}$"


def _build(word: str) -> str:
    if not names.matches(BUILD_PATTERN, word):
        raise BadInput(f"build: {names.shown(word)} is not a build; allowed is an id or a number of builds:list")
    return word


@command("builds:list", owner="builder", needs="read", json=True, at=True, aliases=("builds",))
@arguments.app
def list_(ctx: Context, app: str) -> Value:
    """List an app's builds, the newest first."""
    columns = {"number": "{}", "id": "{}", "status": "{}", "commit": "{:.8}", "buildpack": "{}", "started": "{:.19}"}
    return Listing(f"{app} builds", ctx.call("builder", "builds", name=app), columns | {"reason": "{}"})


@command("builds:output", owner="builder", needs="read")
@arguments.app
@click.argument("build", required=False, callback=arguments.checked(_build))
def output(ctx: Context, app: str, build: str | None) -> Value:
    """Print what a build printed; without one, what the latest did."""
    return Text(ctx.call("builder", "build_output", name=app, build=build)["text"])
