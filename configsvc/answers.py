"""What configsvc answers over RPC: commands recorded, and questions about caught-up state. All values are JSON."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from configsvc import apps, changes, revert
from configsvc import undo as undos
from configsvc.commanded import command_at
from configsvc.ports import Ports
from configsvc.state import App
from services import names
from services.chain import Cause
from services.decide import Decision, commit
from services.errors import Refused
from services.events import ReleaseCreated

Json = dict[str, Any]


def create_app(ports: Ports, name: str, cause: Json, app: str | None) -> Json:
    """Create an app, under the uuid `app` if one is given. Raises BadInput or Refused."""
    app = app or str(uuid4())
    recorded = _record(ports, cause, lambda: apps.create(ports.state, app, name, ports.domain))
    return {"name": name, "app": recorded[0].data.app}


def destroy_app(ports: Ports, name: str, cause: Json, now: bool = False) -> Json:
    """End an app. Raises NoSuchApp. `undo` is the position by which it can be had back for `grace` seconds, or None."""
    recorded = _record(ports, cause, lambda: apps.destroy(ports.state, name, now))
    return {"name": name, "undo": None if now or not ports.grace else recorded[-1].position, "grace": ports.grace}


def list_apps(ports: Ports) -> list[Json]:
    """Every app by name: `release` is the current one's number, or None."""
    ports.projections.catch_up()
    rows = []
    for name in sorted(ports.state.names):
        app = ports.state.named(name)
        number = app.current.data.number if app.current else None
        rows.append({"name": name, "app": app.id, "created": app.created, "release": number, "deployed": bool(number)})
    return rows


def app_exists(ports: Ports, name: str) -> bool:
    """Whether an app is called `name`."""
    ports.projections.catch_up()
    return name in ports.state.names


def config(ports: Ports, name: str) -> dict[str, str]:
    """An app's config, sealed."""
    return dict(_app(ports, name).config)


def change_config(ports: Ports, name: str, set: dict[str, str], unset: list[str], deploy: bool, cause: Json) -> Json:
    """Set and unset config; see `_change` for what is answered."""
    return _change(ports, cause, lambda: changes.config(ports.state, name, set, unset, deploy))


def formation(ports: Ports, name: str) -> dict[str, int]:
    """How many containers of each process type are wanted."""
    return changes.wanted(_app(ports, name))


def scale(ports: Ports, name: str, formation: dict[str, int], deploy: bool, cause: Json) -> Json:
    """Change the formation; see `_change` for what is answered."""
    return _change(ports, cause, lambda: changes.scale(ports.state, name, formation, deploy, ports.room))


def domains(ports: Ports, name: str) -> list[str]:
    """An app's domains in the order they were added."""
    return list(_app(ports, name).domains)


def change_domains(ports: Ports, name: str, add: list[str], remove: list[str], cause: Json) -> Json:
    """Take and free domains; see `_change` for what is answered."""
    return _change(ports, cause, lambda: changes.domains(ports.state, name, add, remove, ports.domain))


def releases(ports: Ports, name: str) -> list[Json]:
    """An app's releases, newest first."""
    return [
        {
            "number": release.data.number,
            "change": release.data.change,
            "by": key_name(release.actor),
            "when": release.time,
            "status": release.status,
        }
        for release in reversed(_app(ports, name).releases.values())
    ]


def desired(ports: Ports, name: str | None = None) -> dict[str, Json]:
    """What every app should be, or one, by name: all that a release holds, config sealed. Raises NoSuchApp."""
    found = [_app(ports, name)] if name else _apps(ports)
    return {
        app.name: {
            "app": app.id,
            "release": app.current.data.number if app.current else None,
            "image": app.base.data.image if app.base else None,
            "commit": app.base.data.commit if app.base else None,
            "config": dict(app.config),
            "formation": changes.wanted(app),
            "domains": list(app.domains),
        }
        for app in found
    }


def blame(ports: Ports, name: str, key: str | None = None) -> list[Json]:
    """Of each setting of an app, or the one config `key`, since when it is as it is, and by which event and whom.

    Raises NoSuchApp, or Refused for a key that was never set.
    """
    app = _app(ports, name)
    since = {setting: at for setting, at in app.since.items() if key is None or setting == f"config {key}"}
    if key is not None and not since:
        raise Refused(f"config: {key} was never set in {name}; see: log:blame {name}")
    present = {f"config {k}" for k in app.config} | {f"domain {host}" for host in app.domains}
    rows = []
    for setting, at in sorted(since.items()):
        [event] = ports.log.read(at - 1, 1)
        gone = setting.startswith(("config ", "domain ")) and setting not in present
        rows.append(
            {
                "setting": setting,
                "is": "gone" if gone else "there",
                "position": at,
                "type": event.type,
                "when": event.time,
                "by": event.actor,
                "command": event.command,
            }
        )
    return rows


def _apps(ports: Ports) -> list[App]:
    ports.projections.catch_up()
    return [ports.state.named(name) for name in sorted(ports.state.names)]


def release(ports: Ports, name: str, number: int | None) -> Json:
    """One release, by default the current one, else the newest. Raises Refused when there is none."""
    app = _app(ports, name)
    found = app.releases.get(number) if number else app.current or app.base
    if found is None:
        raise Refused(f"release: {name} has no release {f'v{number}' if number else 'yet'}; see: releases {name}")
    data = found.data
    return {
        "number": data.number,
        "change": data.change,
        "by": key_name(found.actor),
        "when": found.time,
        "status": found.status,
        "image": data.image,
        "commit": data.commit,
        "config": sorted(data.config),
        "formation": data.formation,
        "domains": data.domains,
    }


def rollback_plan(ports: Ports, name: str, number: int | None, keep: list[str]) -> Json:
    """What `rollback` would do: the release that it goes back to, and what changes, in words."""
    _app(ports, name)
    plan = revert.plan(ports.state, name, number, keep, ports.domain)
    return {"release": plan.number, "changes": plan.changes}


def rollback(ports: Ports, name: str, number: int | None, keep: list[str], cause: Json) -> Json:
    """Go back to a release; see `_change` for what is answered."""
    return _change(ports, cause, lambda: revert.rollback(ports.state, name, number, keep, ports.domain))


def undo(ports: Ports, position: int, cause: Json) -> Json:
    """Reverse the command that recorded the event at `position`.

    Answers what `_change` does, and in `command` the command line of what was undone. Raises Refused.
    """
    ports.projections.catch_up()
    command = command_at(ports.log, position)

    def decide() -> Decision:
        command.read_on(ports.log)
        return undos.decide(ports.state, command, ports.domain)

    return {"command": command.events[0].command} | _change(ports, cause, decide)


def key_name(actor: str) -> str:
    """Who did it, as `releases` says: the key's name without its fingerprint, `local`, or a service."""
    return actor.partition(" ")[0]


def _app(ports: Ports, name: str) -> App:
    names.app_name(name)
    ports.projections.catch_up()
    return ports.state.named(name)


def _record(ports: Ports, cause: Json, decide: Callable[[], Decision]) -> list[Any]:
    return commit(ports.log, ports.projections, decide, Cause(**cause).by("configsvc"))


def _change(ports: Ports, cause: Json, decide: Callable[[], Decision]) -> Json:
    """Record a change: `release` is the number of the one it made, `correlation` the story to follow if it deploys.

    Both are None when nothing changed, or when the app has no image yet.
    """
    recorded = _record(ports, cause, decide)
    made = next((e for e in recorded if isinstance(e.data, ReleaseCreated)), None)
    if made is None:
        return {"release": None, "correlation": None, "changed": bool(recorded)}
    return {
        "release": made.data.number,
        "correlation": made.correlationid if made.data.deploy else None,
        "changed": True,
    }
