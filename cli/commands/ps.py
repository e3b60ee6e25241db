"""An app's processes: how many, and what they are at."""

import click

from cli import arguments
from cli.table import Context, command
from cli.values import Formation, Record, Reports, Value, changed
from services import names
from services.errors import BadInput, NoSuchApp

SHORT_ID = 11


@command("ps:scale", owner="configsvc", needs="write", records=True, json=True, at=True)
@arguments.app
@click.argument("quantities", nargs=-1, metavar="[<process>=<n>]...")
@click.option("--skip-deploy", is_flag=True, help="Record the change for the next deploy.")
def scale(ctx: Context, app: str, quantities: tuple[str, ...], skip_deploy: bool) -> Value:
    """Set how many of each process type run; without any, show it."""
    if not quantities:
        return Formation(app, ctx.call("configsvc", "formation", name=app))
    formation = read_quantities(quantities)
    answer = ctx.call("configsvc", "scale", name=app, formation=formation, deploy=not skip_deploy)
    return changed(f"Scaling {app} processes: {' '.join(quantities)}", answer)


@command("ps:report", owner="deployer", needs="read", report=True, aliases=("ps",))
def report(ctx: Context, app: str | None, flag: str | None) -> Value:
    """Report the processes of one app, or of all."""
    apps = {known["name"]: known for known in ctx.call("configsvc", "list_apps")}
    if app and app not in apps:
        raise NoSuchApp.named(app)
    wanted = [app] if app else list(apps)
    return Reports("ps", {name: _rows(ctx, apps[name]) for name in wanted}, flag)


def read_quantities(words: tuple[str, ...]) -> dict[str, int]:
    """`process=n` words as a formation. Raises BadInput."""
    formation: dict[str, int] = {}
    for word in words:
        process, equals, quantity = word.partition("=")
        if not equals:
            raise BadInput(f"scale: {names.shown(word)} has no '='; allowed is a process type, '=' and a number")
        if names.process_type(process) in formation:
            raise BadInput(f"scale: {process} stands twice; allowed is each process type once")
        formation[process] = names.scale(quantity)
    return formation


def _rows(ctx: Context, app: Record) -> dict[str, str]:
    processes = ctx.call("deployer", "processes", name=app["name"])
    up = [process["state"] == "running" for process in processes]
    status = {f"status-{process['process']}-{process['number']}": _status(process) for process in processes}
    return {
        "deployed": "true" if app["deployed"] else "false",
        "processes": str(len(processes)),
        "running": "mixed" if any(up) and not all(up) else str(any(up)).lower(),
        **status,
    }


def _status(process: Record) -> str:
    container = process["container"]
    return f"{process['state']} (CID: {container[:SHORT_ID]})" if container else str(process["state"])
