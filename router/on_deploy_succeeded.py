"""Hop 5: deploy.succeeded → route.published or route.rejected. nginx switches, and proves that it did."""

from collections.abc import Callable
from typing import Any

from router.nginx import RouteRefused
from router.ports import Ports, app_route
from router.state import App
from services.chain import Draft
from services.decide import conclude
from services.errors import PushlogError, Refused
from services.events import DeploySucceeded, Recorded, RoutePublished, RouteRejected, work_stream


def on_deploy_succeeded(deploy: Recorded[DeploySucceeded], ports: Ports, call: Callable[..., Any]) -> None:
    """Send the app's requests to its new release, or leave every app as it was."""
    app = ports.state.apps.get(deploy.data.app)
    if app is None:
        return
    returns = app.returns
    try:
        route = wanted(deploy.data, app, call)
        if route is None:
            return
        try:
            if not switch(ports, app, route, lambda: conclude(ports.log, deploy, route, "router")):
                ports.mend()  # it had an outcome already, and nginx is to serve that
        except RouteRefused as error:
            raise Refused(put_back(ports, str(error))) from error
    except Refused as error:
        ports.projections.catch_up()
        if app.id in ports.state.apps and app.returns == returns:  # else it was the app's end that failed it
            conclude(ports.log, deploy, rejected(deploy, str(error)), "router")


def switch(ports: Ports, app: App, route: RoutePublished, record: Callable[[], bool]) -> bool:
    """Have nginx serve `route`, and `record` that once the app answered through it; returns whether it is recorded.

    Raises RouteRefused.
    """
    ports.trying[app.id] = route
    try:
        ports.mend()
        ports.nginx.prove(app_route(app.name, route))
        return record()
    finally:
        del ports.trying[app.id]


def put_back(ports: Ports, reason: str) -> str:
    """Serve what is published; returns why the release is not, and why that failed if it did."""
    try:
        ports.mend()
    except PushlogError as error:
        return f"{reason}; nginx did not go back to what it served: {error}"
    return reason


def wanted(deploy: DeploySucceeded, app: App, call: Callable[..., Any]) -> RoutePublished | None:
    """The route of a deployed release; None while its containers wait for their image or the app is gone.

    The deployer checks the containers, without a web process, too: Refused if one does not run, Unavailable if it is
    brought up again.
    """
    release = app.releases[deploy.release]
    has_web = "web" in release.processes
    upstreams = call("deployer", "endpoints", app=app.id, release=deploy.release)
    if upstreams is None:
        return None
    return RoutePublished(
        app=app.id,
        release=deploy.release,
        attempt=deploy.attempt,
        hosts=release.domains if has_web else [],
        upstreams=upstreams if has_web else [],
        replaces=app.route.release if app.route else None,
        push=release.push,
    )


def given_up(deploy: Recorded[DeploySucceeded], attempts: int, reason: str) -> Draft:
    """The failure that ends a deploy that could not be routed."""
    return Draft(work_stream(deploy.id), deploy.subject, rejected(deploy, reason))


def rejected(deploy: Recorded[DeploySucceeded], reason: str) -> RouteRejected:
    """The outcome of a deploy that is not routed."""
    data = deploy.data
    return RouteRejected(app=data.app, release=data.release, attempt=data.attempt, reason=reason)
