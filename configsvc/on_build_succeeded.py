"""Hop 3: build.succeeded → release.created or release.refused. Image and settings become the next numbered release."""

from dataclasses import replace

from configsvc import releases
from configsvc.ports import Ports
from services.chain import Cause, Draft
from services.decide import Decision, commit, outcome_id
from services.events import BuildSucceeded, Recorded, ReleaseRefused, app_stream


def on_build_succeeded(build: Recorded[BuildSucceeded], ports: Ports) -> None:
    """Record the release of a build, once: a release that this build caused already is left as it is."""

    def decide() -> Decision:
        app = ports.state.apps.get(build.data.app)
        if app is None or any(release.data.push == build.correlationid for release in app.releases.values()):
            return Decision([])
        stream = app_stream(app.id)
        release = replace(releases.of_build(app, build), id=outcome_id(build, "configsvc"))
        return Decision([release], {stream: ports.state.version(stream)})

    commit(ports.log, ports.projections, decide, Cause.after("configsvc", build))


def given_up(build: Recorded[BuildSucceeded], attempts: int, reason: str) -> Draft:
    """The failure that ends a build that no release could be made of."""
    app = build.data.app
    return Draft(app_stream(app), build.subject, ReleaseRefused(app=app, reason=reason))
