"""What has to be recorded so that an app's settings become what they were. Rollback and undo share it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from configsvc import apps, releases
from configsvc.state import App, State
from services.chain import Draft
from services.events import (
    ConfigChanged,
    DomainFreed,
    DomainTaken,
    Event,
    FormationChanged,
    app_stream,
    domain_stream,
)


@dataclass(frozen=True)
class Settings:
    """What an app's settings are to be: `config` is sealed, the first of `domains` is the URL's."""

    config: Mapping[str, str]
    formation: Mapping[str, int]
    domains: Sequence[str]


def drafts(state: State, app: App, wanted: Settings, platform: str) -> list[Draft]:
    """All that makes an app's settings `wanted`; of the formation, the process types that it names.

    Raises Refused for a domain that is another app's, or the platform's own.
    """
    return [
        *config_drafts(app, wanted.config),
        *formation_drafts(app, wanted.formation),
        *domain_drafts(state, app, wanted.domains, platform),
    ]


def config_drafts(app: App, wanted: Mapping[str, str]) -> list[Draft]:
    """What makes an app's config `wanted`."""
    new = {key: text for key, text in wanted.items() if app.config.get(key) != text}
    gone = sorted(app.config.keys() - wanted.keys())
    return [_of(app, ConfigChanged(app=app.id, set=new, unset=gone))] if new or gone else []


def formation_drafts(app: App, wanted: Mapping[str, int]) -> list[Draft]:
    """What makes an app want so many of each of these process types."""
    present = releases.formation(dict.fromkeys(wanted, ""), app.formation)
    changed = {process: number for process, number in wanted.items() if present[process] != number}
    return [_of(app, FormationChanged(app=app.id, formation=changed))] if changed else []


def domain_drafts(state: State, app: App, wanted: Sequence[str], platform: str) -> list[Draft]:
    """What gives an app these domains, in this order. Raises Refused."""
    apps.domain_drafts(state, app, [host for host in wanted if host not in app.domains], [], platform)
    there = [host for host in app.domains if host in wanted]
    # they stand in the order in which they were taken: one that would come too early is taken anew
    stay = [host for host, place in takewhile(lambda pair: pair[0] == pair[1], zip(there, wanted, strict=False))]
    freed, taken = ([host for host in hosts if host not in stay] for hosts in (app.domains, wanted))
    return [
        *(Draft(domain_stream(host), app.name, DomainFreed(app=app.id, host=host)) for host in freed),
        *(Draft(domain_stream(host), app.name, DomainTaken(app=app.id, host=host)) for host in taken),
    ]


def told(app: App, changes: Sequence[Draft]) -> dict[str, str]:
    """What `changes` of an app's settings come to, in words; of config the keys alone."""
    words: dict[str, str] = {}
    freed = [draft.event.host for draft in changes if isinstance(draft.event, DomainFreed)]
    taken = [draft.event.host for draft in changes if isinstance(draft.event, DomainTaken)]
    for draft in changes:
        match draft.event:
            case ConfigChanged(set=set, unset=unset):
                words["config"] = both("set", sorted(set), "unset", unset)
            case FormationChanged(formation=formation):
                now = releases.formation(dict.fromkeys(formation, ""), app.formation)
                words["scale"] = ", ".join(f"{p} {now[p]} → {n}" for p, n in sorted(formation.items()))
    added, removed = [h for h in taken if h not in freed], [h for h in freed if h not in taken]
    if freed or taken:
        words["domains"] = both("add", added, "remove", removed) or f"{taken[0]} first"
    return words


def both(one: str, these: Sequence[str], other: str, those: Sequence[str]) -> str:
    """`set A, B; unset C`, and less where there is less."""
    return "; ".join(f"{verb} {', '.join(what)}" for verb, what in ((one, these), (other, those)) if what)


def _of(app: App, event: Event) -> Draft:
    return Draft(app_stream(app.id), app.name, event)
