"""Hop 5: deploy.succeeded → route.published or route.rejected. nginx switches, and proves that it did."""

from collections.abc import Callable
from typing import Any

from router.nginx import RouteRefused
from router.ports import Ports, app_route
from router.state import App
from services.decide import conclude
from services.errors import Refused
from services.events import DeploySucceeded, Event, Recorded, RoutePublished, RouteRejected


def on_deploy_succeeded(deploy: Recorded[DeploySucceeded], ports: Ports, call: Callable[..., Any]) -> None:
    """Send the app's requests to its new release, or leave every app as it was."""
    with ports.turn:
        routes = ports.routes()
        app = ports.state.apps.get(deploy.data.app)
        if app is None:
            return
        outcome: Event
        try:
            route = wanted(deploy.data, app, call)
            routes.pop(app.id, None)
            if route.hosts:
                routes[app.id] = app_route(app.name, route)
            ports.nginx.publish(routes.values(), app.name)
            outcome = route
        except (RouteRefused, Refused) as error:
            outcome = RouteRejected(
                app=app.id, release=deploy.data.release, attempt=deploy.data.attempt, reason=str(error)
            )
        conclude(ports.log, deploy, outcome, "router")


def wanted(deploy: DeploySucceeded, app: App, call: Callable[..., Any]) -> RoutePublished:
    """The route of a deployed release. The deployer checks its containers; Refused if one is not there."""
    release = app.releases[deploy.release]
    has_web = "web" in release.processes
    return RoutePublished(
        app=app.id,
        release=deploy.release,
        attempt=deploy.attempt,
        hosts=release.domains if has_web else [],
        upstreams=call("deployer", "endpoints", app=app.id, release=deploy.release) if has_web else [],
        replaces=app.route.release if app.route else None,
        push=release.push,
    )
