"""The router: nginx. This file is its table of contents."""

import time
from typing import Any

from router import ports
from router.on_app_destroyed import on_app_destroyed
from router.on_deploy_succeeded import given_up, on_deploy_succeeded
from services import past
from services.bus import Calls, Port, rpc
from services.events import (
    AppDestroyed,
    DeploySucceeded,
    ImageLost,
    ImageRestored,
    Recorded,
    RoutePublished,
    RouteRejected,
)
from services.hops import at_start, on

EVERY = 5.0


class Service:
    """Owns what is reachable under which host."""

    name = "router"
    ports = Port(ports.build)
    call = Calls()

    @on(
        DeploySucceeded,
        until=(RoutePublished, RouteRejected),
        gives_up=given_up,
        limit=20,
        news=(ImageRestored, ImageLost),
    )
    def deploy_succeeded(self, deploy: Recorded[DeploySucceeded]) -> None:
        on_deploy_succeeded(deploy, self.ports, self.call)

    @on(AppDestroyed)
    def app_destroyed(self, destroyed: Recorded[AppDestroyed]) -> None:
        on_app_destroyed(destroyed, self.ports)

    @at_start
    def mend(self) -> None:
        while True:
            self.ports.mend()
            time.sleep(EVERY)

    @rpc
    def nginx_status(self) -> dict[str, Any]:
        return dict(self.ports.nginx.status())

    @rpc
    def state(self, path: list[str]) -> dict[str, Any]:
        return past.answer(self.ports, path)
