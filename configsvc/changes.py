"""Changes of an app's settings. Each that an app with an image gets makes a release, and none builds anything."""

from configsvc import apps, releases
from configsvc.state import App, State
from services import hosts, names, subnets
from services.chain import Draft
from services.decide import Decision
from services.errors import BadInput, Refused
from services.events import ConfigChanged, FormationChanged, app_stream

MAX_CONFIG = 1000
ROOM = subnets.room(None)
MAX_SEALED = 512 << 10
"""Bytes of an app's config, sealed: each release holds all of it, and hundreds of releases are read at once."""


def config(state: State, name: str, set: dict[str, str], unset: list[str], deploy: bool) -> Decision:
    """Set keys to sealed values and unset others. Raises NoSuchApp, or BadInput for a bad key or too many."""
    app = state.named(name)
    for key in set:
        names.config_key(key)
    gone = [key for key in dict.fromkeys(unset) if key in app.config and key not in set]
    wanted = {key: value for key, value in {**app.config, **set}.items() if key not in gone}
    if len(wanted) > MAX_CONFIG:
        raise BadInput(f"config: {len(wanted)} keys; allowed are {MAX_CONFIG} an app")
    if set and (size := sum(map(len, wanted.values()))) > MAX_SEALED:
        raise BadInput(f"config: {size} bytes of sealed values; allowed are {MAX_SEALED} an app")
    if not set and not gone:
        return Decision([])
    change = " and ".join(
        part for part in (f"Set {', '.join(set)}" if set else "", f"Remove {', '.join(gone)}" if gone else "") if part
    )
    draft = Draft(app_stream(app.id), name, ConfigChanged(app=app.id, set=set, unset=gone))
    return _with_release(state, app, [draft], releases.after(app, f"{change} config vars", deploy, config=wanted))


def scale(state: State, name: str, formation: dict[str, int], deploy: bool, room: int = ROOM) -> Decision:
    """Want so many containers of each named process type. Raises NoSuchApp, BadInput, or Refused beyond the `room`."""
    app = state.named(name)
    base = app.base
    for process, quantity in formation.items():
        names.process_type(process)
        names.scale(str(quantity))
        if base and process not in base.data.processes:
            known = ", ".join(sorted(base.data.processes))
            raise BadInput(f"process: {process} is not in the Procfile of {name}; allowed are {known}")
    changed = {p: n for p, n in formation.items() if (wanted(app).get(p)) != n}
    if not changed:
        return Decision([])
    check_room(state, app, changed, room)
    text = ", ".join(f"{process}={quantity}" for process, quantity in changed.items())
    draft = Draft(app_stream(app.id), name, FormationChanged(app=app.id, formation=changed))
    release = releases.after(app, f"Scale {text}", deploy, formation={**app.formation, **changed})
    return _with_release(state, app, [draft], release)


def check_room(state: State, app: App, changed: dict[str, int], room: int) -> None:
    """Raise Refused for more containers than the apps' network, which takes `room`, has addresses for."""
    present, used = wanted(app), sum(running(other) for other in state.apps.values() if other.id != app.id)
    total, free = sum({**present, **changed}.values()), max(0, room - used)
    if sum(present.values()) < total and 2 * total > free:
        raise Refused(
            f"scale: {total} containers of {app.name} need {2 * total} addresses, as a deploy starts new ones beside "
            f"those that serve, and {free} are free in the apps' network; use at most {free // 2} containers, or give "
            "PUSHLOG_SUBNET a larger network"
        )


def running(app: App) -> int:
    """How many containers serve an app."""
    return sum(app.current.data.formation.values()) if app.current else 0


def domains(state: State, name: str, add: list[str], remove: list[str], platform: str) -> Decision:
    """Take and free domains. Raises NoSuchApp, Refused for one that is another app's, BadInput for no host name."""
    app = state.named(name)
    for host in add:
        hosts.new(host)
    drafts = apps.domain_drafts(state, app, add, remove, platform)
    if not drafts:
        return Decision([])
    kept = [host for host in [*app.domains, *dict.fromkeys(add)] if host not in remove]
    text = " and ".join(
        part
        for part in (f"Add {', '.join(add)}" if add else "", f"Remove {', '.join(remove)}" if remove else "")
        if part
    )
    return _with_release(state, app, drafts, releases.after(app, text, True, domains=list(dict.fromkeys(kept))))


def wanted(app: App) -> dict[str, int]:
    """How many containers of each process type are wanted, defaults included."""
    return releases.formation(app.base.data.processes, app.formation) if app.base else dict(app.formation)


def _with_release(state: State, app: App, drafts: list[Draft], release: Draft | None) -> Decision:
    drafts = [*drafts, release] if release else drafts
    streams = {draft.stream for draft in drafts} | {app_stream(app.id)}
    return Decision(drafts, {stream: state.version(stream) for stream in streams})
