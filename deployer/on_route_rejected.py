"""Hop 6: route.rejected → deploy.failed. The candidate is removed; what served goes on serving."""

from deployer import candidate
from deployer.ports import Ports
from deployer.state import identity
from services.decide import conclude
from services.events import DeployFailed, Recorded, RouteRejected


def on_route_rejected(route: Recorded[RouteRejected], ports: Ports) -> None:
    """Remove the containers that only the rejected release has, and record that it failed."""
    app = ports.state.apps.get(route.data.app)
    if app is None:
        return
    if app.candidate:
        kept = {identity(slot) for slot in (app.current.slots if app.current else ())}
        candidate.remove(ports, app.id, [slot for slot in app.candidate.slots if identity(slot) not in kept])
    failed = DeployFailed(
        app=app.id, release=route.data.release, attempt=route.data.attempt, reason=route.data.reason, output=None
    )
    conclude(ports.log, route, failed, "deployer")
