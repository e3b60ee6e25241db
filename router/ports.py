"""What the router's handlers are given."""

import threading
from dataclasses import dataclass, field

from router.nginx import Nginx
from router.render import AppRoute
from router.state import State
from services.eventlog import EventLog
from services.events import RoutePublished
from services.platform import Platform
from services.projections import Projections


@dataclass(frozen=True)
class Ports:
    """`turn` lets one change of nginx happen at a time, with the routes as they are by then.

    `trying` are the routes, by the app's uuid, that nginx has and that are not published yet: their apps are asked for
    a first answer, which may take long and keeps no other app from its turn.
    """

    log: EventLog
    projections: Projections
    state: State
    nginx: Nginx
    turn: threading.Lock = field(default_factory=threading.Lock)
    trying: dict[str, RoutePublished] = field(default_factory=dict)

    def mend(self) -> None:
        """Compare nginx with the log and mend nginx: it runs, and serves exactly the routes.

        Raises RouteRefused when nginx does not take them, Unavailable when it does not start.
        """
        seen = self.nginx.look()  # before the turn: others need not wait for the answer
        with self.turn:
            self.nginx.ensure(self._routes(), seen)

    def _routes(self) -> list[AppRoute]:
        """The route of every app that has one with hosts: the one that is tried, else the published one."""
        self.projections.catch_up()
        routes = ((app.name, self.trying.get(app.id, app.route)) for app in self.state.apps.values())
        return [app_route(name, route) for name, route in routes if route is not None and route.hosts]


def app_route(name: str, route: RoutePublished) -> AppRoute:
    """What nginx is to do for an app."""
    return AppRoute(name, route.release, route.attempt, tuple(route.hosts), tuple(route.upstreams))


def build(platform: Platform) -> Ports:
    """The ports of this process."""
    state = State()
    platform.projections.add(state)
    return Ports(platform.log, platform.projections, state, Nginx(platform.settings))
