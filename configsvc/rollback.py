"""Back to an older release: all that it was, under the next number."""

from collections.abc import Collection
from dataclasses import dataclass

from configsvc import releases, revert
from configsvc.state import App, Release, State
from services.chain import Draft
from services.decide import Decision
from services.errors import BadInput, Refused
from services.events import Event, ReleaseCreated

KEPT = ("config", "formation", "domains")
"""What can be left as it is."""


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
    here = revert.Settings(app.config, releases.formation(old.processes, app.formation), app.domains)
    wanted = revert.Settings(
        config=here.config if "config" in keep else old.config,
        formation=here.formation if "formation" in keep else old.formation,
        domains=here.domains if "domains" in keep else old.domains,
    )
    check_domains(state, app, target, wanted.domains)
    changes = revert.drafts(state, app, wanted, platform)
    settings = {"config": wanted.config, "formation": wanted.formation, "domains": wanted.domains}
    release = releases.of(app, f"Rollback to v{old.number}", True, old, settings)
    if app.base and app.base.status != "recorded" and content(release.event) == content(base):
        raise Refused(f"rollback: v{old.number} is what {name} has; nothing to change")
    return Plan(old.number, [*changes, release], image_told(base, old) | revert.told(app, changes))


def decide(state: State, name: str, number: int | None, keep: Collection[str], platform: str) -> Decision:
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
