"""Back to an older release, with all that it was, under the next number; and what makes settings what they were."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from configsvc import apps, releases
from configsvc.state import App, Release, State
from services.chain import Draft
from services.decide import Decision
from services.errors import BadInput, Refused
from services.events import (
    ConfigChanged,
    DomainFreed,
    DomainTaken,
    Event,
    FormationChanged,
    ReleaseCreated,
    app_stream,
    domain_stream,
)

KEPT = ("config", "formation", "domains")
"""What can be left as it is."""


@dataclass(frozen=True)
class Settings:
    """What an app's settings are to be: `config` is sealed, the first of `domains` is the URL's."""

    config: Mapping[str, str]
    formation: Mapping[str, int]
    domains: Sequence[str]


@dataclass(frozen=True)
class Plan:
    """What a rollback to the release `number` records; `changes` says the same in words, by what is changed."""

    number: int
    drafts: list[Draft]
    changes: dict[str, str]


def plan(state: State, name: str, number: int | None, keep: Collection[str], platform: str) -> Plan:
    """A rollback to v`number`, by default to the release that served before the present one.

    Raises NoSuchApp, BadInput for an unknown word in `keep`, or Refused when that release cannot be had.
    """
    app = state.named(name)
    if unknown := sorted(set(keep) - set(KEPT)):
        raise BadInput(f"keep: {unknown[0]!r} cannot be kept; allowed are {', '.join(KEPT)}")
    target = served_before(app) if number is None else released(app, number)
    old, base = target.data, app.base.data if app.base else target.data
    here = Settings(app.config, releases.formation(old.processes, app.formation), app.domains)
    wanted = Settings(
        config=here.config if "config" in keep else old.config,
        formation=here.formation if "formation" in keep else old.formation,
        domains=here.domains if "domains" in keep else old.domains,
    )
    check_domains(state, app, target, wanted.domains)
    changes = drafts(state, app, wanted, platform)
    settings = {"config": wanted.config, "formation": wanted.formation, "domains": wanted.domains}
    release = releases.of(app, f"Rollback to v{old.number}", True, old, settings)
    if app.base and app.base.status != "recorded" and content(release.event) == content(base):
        raise Refused(f"rollback: v{old.number} is what {name} has; nothing to change")
    return Plan(old.number, [*changes, release], image_told(base, old) | told(app, changes))


def rollback(state: State, name: str, number: int | None, keep: Collection[str], platform: str) -> Decision:
    """What to record for a rollback: see `plan`."""
    planned = plan(state, name, number, keep, platform)
    return Decision(planned.drafts, {draft.stream: state.version(draft.stream) for draft in planned.drafts})


def served_before(app: App) -> Release:
    """The release that served before the present one. Raises Refused."""
    now = app.current.data.number if app.current else releases.next_number(app)
    found = [r for number, r in app.releases.items() if r.status == "retired" and number < now]
    if not found:
        raise Refused(f"rollback: no release of {app.name} served before the present one; see: releases {app.name}")
    return found[-1]


def released(app: App, number: int) -> Release:
    """The release v`number`, which has served or could. Raises Refused."""
    release = app.releases.get(number)
    if release is None:
        raise Refused(f"rollback: {app.name} has no release v{number}; see: releases {app.name}")
    if release.status == "failed":
        raise Refused(f"rollback: v{number} failed and never served; see: releases {app.name}")
    if release.status == "pending":
        raise Refused(f"rollback: v{number} is being deployed; wait for it")
    return release


def check_domains(state: State, app: App, target: Release, domains: Collection[str]) -> None:
    """Raise Refused for a domain that is another app's by now, saying how to go back without it."""
    for host in domains:
        owner = state.domains.get(host, app.id)
        if owner != app.id:
            raise Refused(
                f"domain: {host} belongs to the app {state.apps[owner].name} now; remove it there first, "
                f"or go without: rollback {app.name} v{target.data.number} --keep domains"
            )


def content(release: Event) -> dict[str, object]:
    """What a release is, whatever its number and story."""
    return release.model_dump(include={"image", "commit", "config", "processes", "formation", "domains"})


def image_told(here: ReleaseCreated, there: ReleaseCreated) -> dict[str, str]:
    """How the code changes, in words."""
    words = {}
    if here.image != there.image:
        words["image"] = f"{short(here.image)} → {short(there.image)}"
    if here.commit != there.commit:
        words["commit"] = f"{here.commit[:8]} → {there.commit[:8]}"
    return words


def short(image: str) -> str:
    """An image's id as people read it."""
    return image.removeprefix("sha256:")[:12]


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
