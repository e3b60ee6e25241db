"""Hop 6: route.rejected → deploy.failed. The candidate is removed; what served goes on serving."""

from deployer import candidate
from deployer.ports import Ports
from deployer.state import identity
from services.chain import Draft
from services.decide import conclude
from services.events import DeployFailed, Recorded, RouteRejected, work_stream


def on_route_rejected(route: Recorded[RouteRejected], ports: Ports) -> None:
    """Remove the containers that only the rejected release has, and record that it failed."""
    app = ports.state.apps.get(route.data.app)
    if app is None:
        return
    rejected = route.data.release, route.data.attempt
    if app.candidate and (app.candidate.release, app.candidate.attempt) == rejected:  # not the next one's by now
        kept = {identity(slot) for slot in (app.current.slots if app.current else ())}
        candidate.remove(ports, app.id, [slot for slot in app.candidate.slots if identity(slot) not in kept])
    conclude(ports.log, route, failed(route, route.data.reason), "deployer")


def given_up(route: Recorded[RouteRejected], attempts: int, reason: str) -> Draft:
    """The same outcome when the candidate could not be removed: mending removes it then."""
    told = f"{route.data.reason}; its containers are removed later: {reason}"
    return Draft(work_stream(route.id), route.subject, failed(route, told))


def failed(route: Recorded[RouteRejected], reason: str) -> DeployFailed:
    """The outcome of a deploy whose route was rejected."""
    data = route.data
    return DeployFailed(app=data.app, release=data.release, attempt=data.attempt, reason=reason, output=None)
