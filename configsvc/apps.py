"""Creating and destroying apps, and whose a name or a domain is."""

from configsvc.state import App, State
from services import hosts, names
from services.chain import Draft
from services.decide import Decision
from services.errors import Refused
from services.events import (
    AppCreated,
    AppDestroyed,
    AppShredded,
    DomainFreed,
    DomainTaken,
    NameFreed,
    NameTaken,
    app_stream,
    domain_stream,
    name_stream,
)


def create(state: State, app: str, name: str, domain: str) -> Decision:
    """An app with the uuid `app` under `name`, served at `<name>.<domain>` when nobody has that domain.

    Where that is no host that an app may take, as for `a.-b`, it has no domain.

    Raises Refused when the name is taken, or the uuid was an app's before.
    """
    names.app_name(name)
    if name in state.names:
        raise Refused(f"app: {name} is taken; choose another name")
    if state.version(app_stream(app)):
        raise Refused(f"app: {name} was destroyed meanwhile; try again")
    drafts = [
        Draft(name_stream(name), name, NameTaken(app=app, name=name)),
        Draft(app_stream(app), name, AppCreated(app=app, name=name)),
    ]
    host = f"{name}.{domain}"
    if host not in state.domains and hosts.is_new(host):
        drafts.append(Draft(domain_stream(host), name, DomainTaken(app=app, host=host)))
    return Decision(drafts, {draft.stream: state.version(draft.stream) for draft in drafts})


def destroy(state: State, name: str, now: bool = False) -> Decision:
    """The end of the app called `name`; its name and domains are anyone's again. Raises NoSuchApp.

    `now`: nor can it be had back.
    """
    app = state.named(name)
    drafts = [
        *(Draft(domain_stream(host), name, DomainFreed(app=app.id, host=host)) for host in app.domains),
        Draft(name_stream(name), name, NameFreed(app=app.id, name=name)),
        Draft(app_stream(app.id), name, AppDestroyed(app=app.id, name=name)),
        *([Draft(app_stream(app.id), name, AppShredded(app=app.id, name=name))] if now else []),
    ]
    return Decision(drafts, {draft.stream: state.version(draft.stream) for draft in drafts})


def domain_drafts(state: State, app: App, add: list[str], remove: list[str], platform: str) -> list[Draft]:
    """What taking and freeing domains records. Raises Refused for one that is taken, BadInput for no host name."""
    drafts = []
    for host in dict.fromkeys(add):
        names.host(host)
        if host in (platform, f"*.{platform}"):
            raise Refused(f"domain: {host} is the platform's own; use another host, or {app.name}.{platform}")
        owner = state.domains.get(host)
        if owner == app.id:
            continue
        if owner or (other := covered_by(state, app, host)):
            taken = state.apps[owner].name if owner else other
            raise Refused(f"domain: {host} belongs to the app {taken}; remove it there first")
        drafts.append(Draft(domain_stream(host), app.name, DomainTaken(app=app.id, host=host)))
    for host in dict.fromkeys(remove):
        if host not in app.domains:
            raise Refused(f"domain: {names.shown(host)} is not a domain of {app.name}; see: domains:report {app.name}")
        drafts.append(Draft(domain_stream(host), app.name, DomainFreed(app=app.id, host=host)))
    return drafts


def covered_by(state: State, app: App, host: str) -> str | None:
    """The other app whose domain a wildcard `host` would cover, or None."""
    if not host.startswith("*."):
        return None
    for taken, owner in state.domains.items():
        if owner != app.id and taken.endswith(host[1:]):
            return state.apps[owner].name
    return None
