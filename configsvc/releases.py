"""Numbered releases: an app's whole desired state, v1, v2, …"""

from typing import Any

from configsvc.state import App
from services.chain import Draft
from services.events import BuildSucceeded, Recorded, ReleaseCreated, app_stream


def formation(processes: dict[str, str], wanted: dict[str, int]) -> dict[str, int]:
    """How many of each of `processes` run: what is wanted, else one `web` and none of the others."""
    return {process: wanted.get(process, 1 if process == "web" else 0) for process in processes}


def of_build(app: App, build: Recorded[BuildSucceeded]) -> Draft:
    """The release of a fresh image with the app's present settings."""
    data = build.data
    release = ReleaseCreated(
        app=app.id,
        number=next_number(app),
        change=f"Deploy {data.commit[:8]}",
        image=data.image,
        commit=data.commit,
        config=dict(app.config),
        processes=data.processes,
        formation=formation(data.processes, app.formation),
        domains=list(app.domains),
        push=build.correlationid,
    )
    return Draft(app_stream(app.id), app.name, release)


def after(app: App, change: str, deploy: bool, **settings: Any) -> Draft | None:
    """The release that follows the app's newest good one with some of its `settings` replaced; None without one."""
    if app.base is None:
        return None
    present = {"config": app.config, "formation": app.formation, "domains": app.domains}
    return of(app, change, deploy, app.base.data, present | settings)


def of(app: App, change: str, deploy: bool, code: ReleaseCreated, settings: dict[str, Any]) -> Draft:
    """The next release: image, commit and processes of `code`, with `settings`: config, formation and domains."""
    release = ReleaseCreated(
        app=app.id,
        number=next_number(app),
        change=change,
        image=code.image,
        commit=code.commit,
        processes=code.processes,
        config=dict(settings["config"]),
        formation=formation(code.processes, settings["formation"]),
        domains=list(settings["domains"]),
        deploy=deploy,
    )
    return Draft(app_stream(app.id), app.name, release)


def next_number(app: App) -> int:
    """The number of the app's next release."""
    return max(app.releases, default=0) + 1
