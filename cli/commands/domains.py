"""The hosts that an app answers to."""

from collections.abc import Sequence

import click

from cli import arguments
from cli.table import Context, command
from cli.values import Reports, Value, changed
from services import names


@command("domains:add", owner="configsvc", needs="write", records=True)
@arguments.app
@click.argument("hosts", nargs=-1, required=True)
def add(ctx: Context, app: str, hosts: tuple[str, ...]) -> Value:
    """Let an app answer to more hosts."""
    return _change(ctx, app, hosts, [], f"Added {', '.join(hosts)} to {app}")


@command("domains:remove", owner="configsvc", needs="write", records=True)
@arguments.app
@click.argument("hosts", nargs=-1, required=True)
def remove(ctx: Context, app: str, hosts: tuple[str, ...]) -> Value:
    """Take hosts from an app."""
    return _change(ctx, app, [], hosts, f"Removed {', '.join(hosts)} from {app}")


@command("domains:report", owner="configsvc", needs="read", report=True, at=True, aliases=("domains",))
def report(ctx: Context, app: str | None, flag: str | None) -> Value:
    """Report the hosts of one app, or of all."""
    apps = [app] if app else [known["name"] for known in ctx.call("configsvc", "list_apps")]
    return Reports("domains", {name: _rows(ctx, name) for name in apps}, flag)


def _change(ctx: Context, app: str, add: Sequence[str], remove: Sequence[str], said: str) -> Value:
    added = arguments.once("domain", map(names.host, add))
    removed = arguments.once("domain", map(names.host, remove))
    return changed(said, ctx.call("configsvc", "change_domains", name=app, add=added, remove=removed))


def _rows(ctx: Context, app: str) -> dict[str, str]:
    hosts = ctx.call("configsvc", "domains", name=app)
    return {
        "domains-app-enabled": "true" if hosts else "false",
        "domains-app-vhosts": " ".join(hosts),
        "domains-global-enabled": "true",
        "domains-global-vhosts": ctx.domain,
    }
