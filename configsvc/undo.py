"""What reverses one command: decided on what was before it, what it recorded, and what came since."""

from configsvc import apps, releases, revert
from configsvc.commanded import Command
from configsvc.state import App, State
from services.chain import Draft
from services.decide import Decision
from services.errors import Refused
from services.events import (
    AppCreated,
    AppDestroyed,
    AppRestored,
    ConfigChanged,
    DomainFreed,
    DomainTaken,
    Event,
    FormationChanged,
    NameTaken,
    Recorded,
    ReleaseCreated,
    app_stream,
    name_stream,
)

CODE = "code"
"""What of a release came from a push, among the settings."""


def decide(state: State, command: Command, platform: str) -> Decision:
    """What reverses `command`, which has read on to where `state` is. Raises Refused with the reason why nothing does.

    An undo is a command like others, and can be undone.
    """
    kinds = {type(event.data) for event in command.events}
    if AppDestroyed in kinds:
        drafts = restore(state, command, platform)
    elif kinds & {AppCreated, AppRestored}:
        drafts = end(state, command)
    elif kinds & {ConfigChanged, FormationChanged, DomainTaken, DomainFreed, ReleaseCreated}:
        drafts = settle(state, command, platform)
    else:
        first = command.events[0]
        raise Refused(f"undo: nothing reverses {first.type} at position {first.position}")
    return Decision(drafts, {draft.stream: state.version(draft.stream) for draft in drafts})


def restore(state: State, command: Command, platform: str) -> list[Draft]:
    """A destroyed app as it was, under its name and with its domains.

    With a release of what serves, so that who asks for it sees it come up, unless a newer one is under way.
    """
    name, app = command.events[0].subject, state.gone.get(command.app)
    if command.app in state.apps or (app and app.destroyed not in command.events):
        raise Refused(f"app: {name} was restored since; see: events {name}")
    if app is None or (app.destroyed and app.destroyed.schema == 1):  # an older version shredded at once
        raise Refused(f"app: {name} was shredded, with its key, images and repository; nothing brings it back")
    if name in state.names:
        raise Refused(f"app: {name} is another app's name by now; destroy that first")
    before = command.before.apps[app.id]
    drafts = [
        Draft(name_stream(name), name, NameTaken(app=app.id, name=name)),
        Draft(app_stream(app.id), name, AppRestored(app=app.id, name=name)),
        *apps.domain_drafts(state, app, before.domains, [], platform),
    ]
    if app.current is None or app.under_way:  # by now: a deploy may have ended after the app did
        return drafts
    old = app.current.data
    settings = {"config": old.config, "formation": old.formation, "domains": before.domains}
    return [*drafts, releases.of(app, "Restore after apps:destroy", True, old, settings)]


def end(state: State, command: Command) -> list[Draft]:
    """The end of an app that was created, or restored, and not used since. It has its grace."""
    name, app = command.events[0].subject, state.apps.get(command.app)
    if app is None:
        raise Refused(f"app: {name} was destroyed since; see: events {name}")
    for event in command.since:
        if changes(event.data) or event.type == "push.received":
            raise Refused(
                f"app: {name} has more in it since {event.type} at position {event.position} by {who(event)}; "
                f"end it with: apps:destroy {name}"
            )
    return apps.destroy(state, app.name).drafts


def settle(state: State, command: Command, platform: str) -> list[Draft]:
    """The settings that a command changed, as they were before it; with a rollback's, the code."""
    app = state.apps.get(command.app)
    if app is None:
        raise Refused(f"app: {command.events[0].subject} was destroyed since; see: events {command.events[0].subject}")
    before = command.before.apps[app.id]
    made = next((event.data for event in command.events if isinstance(event.data, ReleaseCreated)), None)
    code = before.base.data if made and before.base and code_of(before.base.data) != code_of(made) else None
    refuse_changed(app, command, made if code else None)
    wanted = settings_before(app, before, command)
    drafts = revert.drafts(state, app, wanted, platform)
    base = code or (app.base.data if app.base else None)
    if base is None:
        return drafts
    change = f"Undo: {made.change}" if made else f"Undo position {command.events[0].position}"
    settings = {
        "config": wanted.config,
        "formation": {**app.formation, **wanted.formation},
        "domains": wanted.domains,
    }
    return [*drafts, releases.of(app, change, made.deploy if made else True, base, settings)]


def settings_before(app: App, before: App, command: Command) -> revert.Settings:
    """The app's settings as they are now, but those that the command changed as they were before it."""
    config, formation, hosts = dict(app.config), dict[str, int](), set(app.domains)
    for event in command.events:
        match event.data:
            case ConfigChanged() as change:
                for key in (*change.set, *change.unset):
                    config.pop(key, None)
                    if key in before.config:
                        config[key] = before.config[key]
            case FormationChanged() as change:
                formation |= releases.formation(dict.fromkeys(change.formation, ""), before.formation)
            case DomainTaken(host=host) | DomainFreed(host=host):
                hosts = hosts | {host} if host in before.domains else hosts - {host}
            case _:
                pass
    order = dict.fromkeys([*before.domains, *app.domains])
    return revert.Settings(config, formation, [host for host in order if host in hosts])


def refuse_changed(app: App, command: Command, made: ReleaseCreated | None) -> None:
    """Raise Refused when what the command changed is another by now: what, where, and by whom.

    What was changed again and is as the command left it, because that was undone, is in no way. With `made`, a release
    that brought other code, code counts too.
    """
    left = {place: value for event in command.events for place, value in changes(event.data).items()}
    left.pop(CODE, None)
    if made and app.base and code_of(app.base.data) != code_of(made):  # `base` passes over releases that failed
        left[CODE] = code_of(made)
    for place, value in sorted(left.items()):
        if event := last_to_stay(command.since, place, value):
            what = f"release: v{made.number}" if made and place == CODE else place
            first = f"go back first with: rollback {event.subject}" if event.causationid else "undo that first"
            raise Refused(f"{what} was changed again at position {event.position} by {who(event)}; {first}")


def last_to_stay(since: list[Recorded[Event]], place: str, left: object) -> Recorded[Event] | None:
    """The last change of `place`, which was `left`, that was not taken back; None: it is as it was left."""
    stay: list[tuple[object, Recorded[Event] | None]] = [(left, None)]
    for event in since:
        for value in (value for of, value in changes(event.data).items() if of == place):
            been = [before for before, _ in stay]
            if value in been:
                del stay[been.index(value) + 1 :]
            else:
                stay.append((value, event))
    return stay[-1][1]


def changes(event: Event) -> dict[str, object]:
    """Each setting that an event changes, as an error begins with it, and to what; of a release its code."""
    match event:
        case ConfigChanged(set=set_, unset=unset):
            return {f"config: {key}": set_.get(key) for key in (*set_, *unset)}
        case FormationChanged(formation=formation):
            return {f"scale: {process}": count for process, count in formation.items()}
        case DomainTaken(host=host) | DomainFreed(host=host):
            return {f"domain: {host}": isinstance(event, DomainTaken)}
        case ReleaseCreated():
            return {CODE: code_of(event)}
        case _:
            return {}


def code_of(release: ReleaseCreated) -> dict[str, object]:
    """What of a release came from a push."""
    return release.model_dump(include={"image", "commit", "processes"})


def who(event: Recorded[Event]) -> str:
    """Who did it: the key's name without its fingerprint, `local`, or a service."""
    return event.actor.partition(" ")[0]
