"""What the log tells, proves and takes back: differences of moments, whose doing a setting is, the chain, undo."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import click

from cli import arguments
from cli.table import Context, command
from cli.values import Listing, Proof, Record, Value, Word, changed
from services import names, past
from services.chain import Head
from services.errors import BadInput, NoSuchApp, Unavailable
from services.moments import POSITION, Moment, moment, position, position_at
from services.runner import SERVICES

TRIES = 5
HASH_PATTERN = r"^[0-9a-f]{64}$"


def _head(word: str) -> Head:
    at, colon, digest = word.partition(":")
    if not (colon and names.matches(POSITION, at) and names.matches(HASH_PATTERN, digest)):
        raise BadInput(f"head: {names.shown(word)} is not one; allowed is POSITION:HASH, as log:verify prints it")
    return Head(int(at), digest)


@command("log:diff", owner="configsvc", needs="read", json=True)
@click.argument("from_", metavar="<from>", callback=arguments.checked(moment))
@click.argument("to", metavar="<to>", callback=arguments.checked(moment))
@arguments.some_app
def diff(ctx: Context, from_: Moment, to: Moment, app: str | None) -> Value:
    """Show what changed between two moments, each a position or a time: apps, images, config, scale, domains."""
    before, after = (_desired(ctx, position_at(ctx.log, then), app) for then in (from_, to))
    if app and not before and not after:
        raise NoSuchApp.named(app)
    rows = [row for name in sorted(before.keys() | after.keys()) for row in changes(name, before, after)]
    return Listing("Changes", rows, {"app": "{}", "setting": "{}", "before": "{}", "after": "{}"})


@command("log:blame", owner="configsvc", needs="read", json=True, at=True)
@arguments.app
@click.argument("key", required=False, callback=arguments.checked(names.config_key))
def blame(ctx: Context, app: str, key: str | None) -> Value:
    """Show of each setting of an app, or one config KEY, since when it is as it is, by whom and by which event."""
    columns = {"setting": "{}", "is": "{}", "position": "{}", "when": "{:.19}", "by": "{}", "command": "{}"}
    rows = ctx.call("configsvc", "blame", name=app, key=key)
    short = [row | {"by": Word(row["by"], row["by"].partition(" ")[0])} for row in rows]
    return Listing(f"{app} settings", short, columns)


@command("log:verify", owner="gitreceiver", needs="read", json=True)
@click.option("--head", metavar="POSITION:HASH", callback=arguments.checked(_head), help="A head noted elsewhere.")
def verify(ctx: Context, head: Head | None) -> Value:
    """Follow the chain of hashes through the whole log, and name the first event that does not fit it.

    Exit code 1 if there is one. A log that was cut off, or written anew, shows only against a head noted elsewhere.
    """
    end, check = ctx.log.head().position, past.Check()
    for check in past.verify(ctx.log, head):
        _progress(ctx, check.head.position, end)
    found = {"events": check.head.position, "head": f"{check.head.position}:{check.head.hash}"}
    if check.wrong is None:
        return Proof(True, "The log is whole", found)
    return Proof(False, f"{check.wrong[:1].upper()}{check.wrong[1:]}", found | {"bad": check.bad})


@command("log:replay", owner="gitreceiver", needs="read", json=True)
@click.option("--until", metavar="TIME|POSITION", callback=arguments.checked(moment), help="Rebuild what was then.")
def replay(ctx: Context, until: Moment | None) -> Value:
    """Rebuild every service's state from the first event on, beside the live one, and tell whether they are equal.

    Exit code 1, and where they differ first, if they are not. With --until there is nothing live to compare with: the
    states' hashes tell whether another host, or a backup, holds the same.
    """
    states = past.states(SERVICES)
    end = ctx.log.head().position if until is None else position_at(ctx.log, until)
    for at in past.replay(ctx.log, states, 0, end):
        _progress(ctx, at, end)
    hashes = {f"{name} state": past.digest(state) for name, state in states.items()}
    found: dict[str, Any] = {"position": end, **hashes}
    differs = {} if until is not None else {name: _differs(ctx, name, states[name], end) for name in SERVICES}
    alone = [name for name, where in differs.items() if where == NOBODY]
    wrong = {f"{name} differs at": where for name, where in differs.items() if where not in (None, NOBODY)}
    if wrong:
        return Proof(False, "The live state is not what the log says", found | wrong)
    if until is not None or len(alone) == len(SERVICES):
        return Proof(True, f"Rebuilt from {end} events", found)
    said = f"; not compared: {', '.join(alone)}" if alone else ""
    return Proof(True, f"The live state is what the log says{said}", found)


NO_APP: Record = {
    "release": None,
    "image": None,
    "commit": None,
    "config": {},
    "formation": {},
    "domains": [],
    "app": None,
}
NOBODY = "(not running)"


def _differs(ctx: Context, name: str, rebuilt: Any, at: int) -> str | None:
    """Where the service's live state differs from the one that was `rebuilt` up to `at`, which goes on with it.

    None: nowhere, NOBODY: it does not run. What it takes in while it is asked is no difference.
    """
    where: str | None = None
    for _ in range(TRIES):
        try:
            position = ctx.call(name, "state", path=[])["position"]
            for _page in past.replay(ctx.log, {name: rebuilt}, at, position):
                ctx.pause(0)
            at = position
            where = past.difference(partial(_live, ctx, name), partial(past.look, rebuilt, position=position))
        except Unavailable:
            return NOBODY
        if where is None:
            return None
    return where


def _live(ctx: Context, name: str, path: Sequence[str]) -> Record:
    answer: Record = ctx.call(name, "state", path=list(path))
    return answer


def changes(name: str, before: Mapping[str, Record], after: Mapping[str, Record]) -> list[Record]:
    """What is different of the app `name` in two answers of configsvc's `desired`, a setting a row; no config value."""
    old, new = before.get(name, NO_APP), after.get(name, NO_APP)
    rows = [] if old["app"] == new["app"] else [_row(name, "app", old["app"], new["app"])]
    rows += [_row(name, key, old[key], new[key]) for key in ("release", "image", "commit") if old[key] != new[key]]
    for key in sorted(old["config"].keys() | new["config"].keys()):
        was, now = old["config"].get(key), new["config"].get(key)
        if was != now:
            rows.append(_row(name, f"config {key}", was and "set", now and ("set" if was is None else "set anew")))
    for process in sorted(old["formation"].keys() | new["formation"].keys()):
        counts = old["formation"].get(process), new["formation"].get(process)
        if counts[0] != counts[1]:
            rows.append(_row(name, f"scale {process}", *counts))
    for host in sorted({*old["domains"]} ^ {*new["domains"]}):
        rows.append(_row(name, f"domain {host}", *("there" if host in of["domains"] else None for of in (old, new))))
    return rows


LENGTHS = {"app": 8, "image": 12, "commit": 8}
"""As much of an id as tells it from others, so that both moments have room on a terminal."""


def _row(app: str, setting: str, before: Any, after: Any) -> Record:
    if length := LENGTHS.get(setting):
        before, after = (id_ and Word(id_, id_.removeprefix("sha256:")[:length]) for id_ in (before, after))
    return {"app": app, "setting": setting, "before": before, "after": after}


def _desired(ctx: Context, at: int, app: str | None) -> Mapping[str, Record]:
    ctx.at = at
    try:
        found: Mapping[str, Record] = ctx.call("configsvc", "desired", name=app)
    except NoSuchApp:
        return {}
    finally:
        ctx.at = None
    return found


def _progress(ctx: Context, at: int, end: int) -> None:
    """On a terminal, how far it is, in one line that the result replaces; in any case, let others have their turn."""
    if ctx.tty and not ctx.quiet:
        ctx.redraw("" if at >= end else f"       {at:,} of {end:,} events")
    ctx.pause(0)


@command("log:undo", owner="configsvc", needs="admin", records=True)
@click.argument("position", metavar="<position>", callback=arguments.checked(position))
def undo(ctx: Context, position: int) -> Value:
    """Reverse the command that recorded the event at a position of the log, or say why that cannot be."""
    found = ctx.log.read(position - 1, 1)
    owner = "gitreceiver" if found and found[0].type.startswith("key.") else "configsvc"
    answer = ctx.call(owner, "undo", position=position)
    return changed(f"Undoing {answer['command'] or f'position {position}'}", answer)
