"""configsvc: an app's desired state. This file is its table of contents."""

from typing import Any

from configsvc import answers, ports, shredding
from configsvc.on_app_shredded import mend, on_app_shredded
from configsvc.on_build_succeeded import given_up, on_build_succeeded
from services import past
from services.bus import Port, rpc
from services.events import AppShredded, BuildSucceeded, Recorded, ReleaseCreated, ReleaseRefused
from services.hops import at_start, on

Json = dict[str, Any]


class Service:
    """Owns apps, names, domains, config, formation and releases."""

    name = "configsvc"
    ports = Port(ports.build)

    @on(BuildSucceeded, until=(ReleaseCreated, ReleaseRefused), gives_up=given_up)
    def build_succeeded(self, build: Recorded[BuildSucceeded]) -> None:
        on_build_succeeded(build, self.ports)

    @on(AppShredded)
    def app_shredded(self, shredded: Recorded[AppShredded]) -> None:
        on_app_shredded(shredded, self.ports)

    @at_start
    def mend(self) -> None:
        mend(self.ports)

    @at_start
    def shred(self) -> None:
        shredding.for_ever(self.ports)

    @rpc
    def create_app(self, name: str, cause: Json, app: str | None = None) -> Json:
        return answers.create_app(self.ports, name, cause, app)

    @rpc
    def destroy_app(self, name: str, cause: Json, now: bool = False) -> Json:
        return answers.destroy_app(self.ports, name, cause, now)

    @rpc
    def list_apps(self) -> list[Json]:
        return answers.list_apps(self.ports)

    @rpc
    def app_exists(self, name: str) -> bool:
        return answers.app_exists(self.ports, name)

    @rpc
    def config(self, name: str) -> dict[str, str]:
        return answers.config(self.ports, name)

    @rpc
    def change_config(self, name: str, set: dict[str, str], unset: list[str], deploy: bool, cause: Json) -> Json:
        return answers.change_config(self.ports, name, set, unset, deploy, cause)

    @rpc
    def formation(self, name: str) -> dict[str, int]:
        return answers.formation(self.ports, name)

    @rpc
    def scale(self, name: str, formation: dict[str, int], deploy: bool, cause: Json) -> Json:
        return answers.scale(self.ports, name, formation, deploy, cause)

    @rpc
    def domains(self, name: str) -> list[str]:
        return answers.domains(self.ports, name)

    @rpc
    def change_domains(self, name: str, add: list[str], remove: list[str], cause: Json) -> Json:
        return answers.change_domains(self.ports, name, add, remove, cause)

    @rpc
    def desired(self, name: str | None = None) -> dict[str, Json]:
        return answers.desired(self.ports, name)

    @rpc
    def blame(self, name: str, key: str | None = None) -> list[Json]:
        return answers.blame(self.ports, name, key)

    @rpc
    def releases(self, name: str) -> list[Json]:
        return answers.releases(self.ports, name)

    @rpc
    def state(self, path: list[str]) -> Json:
        return past.answer(self.ports, path)

    @rpc
    def undo(self, position: int, cause: Json) -> Json:
        return answers.undo(self.ports, position, cause)

    @rpc
    def release(self, name: str, number: int | None = None) -> Json:
        return answers.release(self.ports, name, number)

    @rpc
    def rollback_plan(self, name: str, number: int | None, keep: list[str]) -> Json:
        return answers.rollback_plan(self.ports, name, number, keep)

    @rpc
    def rollback(self, name: str, number: int | None, keep: list[str], cause: Json) -> Json:
        return answers.rollback(self.ports, name, number, keep, cause)
