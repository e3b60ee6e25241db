"""gitreceiver: the door. This file is its table of contents."""

from typing import Any

from gitreceiver import answers, ports, sessions
from gitreceiver.compact import Compactor
from gitreceiver.local import local
from gitreceiver.on_app_shredded import mend, on_app_shredded
from gitreceiver.on_route_published import given_up, on_route_published
from gitreceiver.rekeying import finish
from gitreceiver.session import Session
from gitreceiver.ssh.door import door
from gitreceiver.usages import disk
from services import past
from services.bus import Calls, Port, rpc
from services.events import AppShredded, Recorded, RefMoved, RefRefused, RoutePublished
from services.hops import at_start, on

Json = dict[str, Any]


class Service:
    """Owns the SSH port, the keys and the refs."""

    name = "gitreceiver"
    ports = Port(ports.build)
    call = Calls()

    @door
    def ssh(self, session: Session) -> int | None:
        return sessions.run(session, self.ports, self.call)

    @local
    def local(self, session: Session) -> int | None:
        return sessions.run(session, self.ports, self.call)

    @on(RoutePublished, until=(RefMoved, RefRefused), gives_up=given_up, when=lambda route: bool(route.push))
    def route_published(self, route: Recorded[RoutePublished]) -> None:
        on_route_published(route, self.ports)

    @on(AppShredded)
    def app_shredded(self, shredded: Recorded[AppShredded]) -> None:
        on_app_shredded(shredded, self.ports)

    @at_start
    def mend(self) -> None:
        mend(self.ports)

    @at_start
    def compact(self) -> None:
        Compactor(self.ports).for_ever()

    @at_start
    def finish_rekeying(self) -> None:
        finish(self.ports)

    @at_start
    def record_refusals(self) -> None:
        self.ports.refusals.run()

    @rpc
    def disk(self) -> Json:
        return disk(self.ports)

    @rpc
    def source(self, app: str, push: str, commit: str, blob: str) -> bool:
        return answers.source(self.ports, app, push, commit, blob)

    @rpc
    def list_keys(self) -> list[Json]:
        return answers.list_keys(self.ports)

    @rpc
    def add_key(self, name: str, public_key: str, cause: Json) -> Json:
        return answers.add_key(self.ports, name, public_key, cause)

    @rpc
    def remove_key(self, cause: Json, name: str | None = None, fingerprint: str | None = None) -> Json:
        return answers.remove_key(self.ports, name, fingerprint, cause)

    @rpc
    def undo(self, position: int, cause: Json) -> Json:
        return answers.undo(self.ports, position, cause)

    @rpc
    def state(self, path: list[str]) -> Json:
        return past.answer(self.ports, path)
