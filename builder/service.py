"""The builder: a pushed tree becomes an image. This file is its table of contents."""

from typing import Any

from builder import answers, images, ports, retention
from builder.on_app_shredded import mend, on_app_shredded
from builder.on_push_received import given_up, on_push_received
from services import past
from services.bus import Calls, Port, rpc
from services.events import AppShredded, BuildFailed, BuildSucceeded, PushReceived, Recorded
from services.hops import at_start, on

Json = dict[str, Any]


class Service:
    """Owns builds, their output and their caches."""

    name = "builder"
    ports = Port(ports.build)
    call = Calls()

    @on(
        PushReceived,
        until=(BuildSucceeded, BuildFailed),
        gives_up=given_up,
        limit=lambda platform: platform.settings.build_concurrency,
    )
    def push_received(self, push: Recorded[PushReceived]) -> None:
        on_push_received(push, self.ports, self.call)

    @on(AppShredded)
    def app_shredded(self, shredded: Recorded[AppShredded]) -> None:
        on_app_shredded(shredded, self.ports)

    @at_start
    def mend(self) -> None:
        mend(self.ports)

    @at_start
    def images(self) -> None:
        images.for_ever(self.ports, self.call)

    @at_start
    def retain(self) -> None:
        retention.for_ever(self.ports)

    @rpc
    def clean_up(self) -> list[Json]:
        return answers.clean_up(self.ports)

    @rpc
    def disk(self) -> Json:
        return answers.disk(self.ports)

    @rpc
    def builds(self, name: str) -> list[Json]:
        return answers.builds(self.ports, name)

    @rpc
    def build_output(self, name: str, build: str | None = None) -> Json:
        return answers.build_output(self.ports, name, build)

    @rpc
    def state(self, path: list[str]) -> Json:
        return past.answer(self.ports, path)
