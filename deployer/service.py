"""The deployer: an app's containers. This file is its table of contents."""

from typing import Any

from deployer import answers, mend, ports
from deployer.on_app_destroyed import on_app_destroyed
from deployer.on_app_shredded import on_app_shredded
from deployer.on_release_created import given_up as release_given_up
from deployer.on_release_created import on_release_created
from deployer.on_route_published import given_up as retire_given_up
from deployer.on_route_published import on_route_published
from deployer.on_route_rejected import given_up as rejected_given_up
from deployer.on_route_rejected import on_route_rejected
from services import past
from services.bus import Port, rpc
from services.events import (
    AppDestroyed,
    AppShredded,
    DeployFailed,
    DeploySucceeded,
    ImageLost,
    ImageRestored,
    Recorded,
    ReleaseCreated,
    ReleaseRetired,
    RetireFailed,
    RoutePublished,
    RouteRejected,
)
from services.hops import at_start, on

Json = dict[str, Any]


class Service:
    """Owns the apps' containers and network."""

    name = "deployer"
    ports = Port(ports.build)

    @on(
        ReleaseCreated,
        until=(DeploySucceeded, DeployFailed),
        gives_up=release_given_up,
        settled=(RoutePublished, DeployFailed),
        when=lambda release: release.deploy,
        limit=20,
        news=(ImageRestored, ImageLost),
    )
    def release_created(self, release: Recorded[ReleaseCreated]) -> None:
        on_release_created(release, self.ports)

    @on(
        RoutePublished,
        until=(ReleaseRetired, RetireFailed),
        gives_up=retire_given_up,
        when=lambda route: route.replaces is not None,
        limit=100,
        ordered=False,
    )
    def route_published(self, route: Recorded[RoutePublished]) -> None:
        on_route_published(route, self.ports)

    @on(RouteRejected, until=(DeployFailed,), gives_up=rejected_given_up)
    def route_rejected(self, route: Recorded[RouteRejected]) -> None:
        on_route_rejected(route, self.ports)

    @on(AppDestroyed)
    def app_destroyed(self, destroyed: Recorded[AppDestroyed]) -> None:
        on_app_destroyed(destroyed, self.ports)

    @on(AppShredded)
    def app_shredded(self, shredded: Recorded[AppShredded]) -> None:
        on_app_shredded(shredded, self.ports)

    @at_start
    def mend(self) -> None:
        mend.for_ever(self.ports)

    @at_start
    def listen(self) -> None:
        mend.listen(self.ports)

    @rpc
    def processes(self, name: str) -> list[Json]:
        return answers.processes(self.ports, name)

    @rpc
    def logs(self, name: str, lines: int | None = None, process: str | None = None, since: str | None = None) -> Json:
        return answers.logs(self.ports, name, lines, process, since)

    @rpc
    def disk(self) -> Json:
        return answers.disk(self.ports)

    @rpc
    def endpoints(self, app: str, release: int) -> list[str] | None:
        return answers.endpoints(self.ports, app, release)

    @rpc
    def state(self, path: list[str]) -> Json:
        return past.answer(self.ports, path)
