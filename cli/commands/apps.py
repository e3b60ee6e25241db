"""Apps: create, list, destroy, and ask for one."""

import click

from cli import arguments
from cli.table import Context, command
from cli.values import Code, Done, Listing, Value
from services.errors import NoSuchApp


@command("apps:create", owner="configsvc", needs="write", records=True)
@arguments.app
def create(ctx: Context, app: str) -> Value:
    """Create an app. The first push creates it, too."""
    ctx.call("configsvc", "create_app", name=app)
    return Done(f"Creating {app}...")


@command("apps:list", owner="configsvc", needs="read", json=True, at=True, aliases=("apps",))
def list_(ctx: Context) -> Value:
    """List the apps."""
    return Listing("My Apps", ctx.call("configsvc", "list_apps"), {"name": "{}"})


@command(
    "apps:destroy", owner="configsvc", needs="write", records=True, destroys="app", aliases=("delete", "apps:delete")
)
@arguments.app
@click.option("--now", is_flag=True, help="Shred it at once: it cannot be had back.")
def destroy(ctx: Context, app: str, now: bool) -> Value:
    """Destroy an app; its name and domains are free at once, and for a while it can be had back with log:undo."""
    answer = ctx.call("configsvc", "destroy_app", name=app, now=now)
    back = f"For {_span(answer['grace'])} it can be had back: log:undo {answer['undo']}"
    return Done(f"Destroyed {app}", notes=[back] if answer["undo"] else [])


def _span(seconds: float) -> str:
    """A time as people say it, in whole units."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


@command("apps:exists", owner="configsvc", needs="read", at=True)
@arguments.app
def exists(ctx: Context, app: str) -> Value:
    """Tell by the exit code whether an app exists: 0, or 20."""
    if not ctx.call("configsvc", "app_exists", name=app):
        raise NoSuchApp.named(app)
    return Code(0)
