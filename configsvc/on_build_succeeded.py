"""Hop 3: build.succeeded → release.created. The image and the app's settings become the next numbered release."""

from configsvc import releases
from configsvc.ports import Ports
from services.chain import Cause
from services.decide import Decision, commit
from services.events import BuildSucceeded, Recorded, ReleaseCreated, app_stream


def on_build_succeeded(build: Recorded[BuildSucceeded], ports: Ports) -> None:
    """Record the release of a build, once: a release that this build caused already is left as it is."""

    def decide() -> Decision:
        app = ports.state.apps.get(build.data.app)
        if app is None or any(release.data.push == build.correlationid for release in app.releases.values()):
            return Decision([])
        stream = app_stream(app.id)
        return Decision([releases.of_build(app, build)], {stream: ports.state.version(stream)})

    output = ports.outputs.open(build.correlationid)
    output.step(f"Releasing {build.subject}")
    for release in commit(ports.log, ports.projections, decide, Cause.after("configsvc", build)):
        if isinstance(release.data, ReleaseCreated):
            output.line(f"       v{release.data.number}")
