"""What a command may ask of the platform: the Context of cli/table.py for one session."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from cli.render import warn
from cli.values import Record, Wanted
from gitreceiver import history, stories
from gitreceiver.backup import restore
from gitreceiver.backup.export import export
from gitreceiver.backup.progress import told
from gitreceiver.on_git_push import vars_of
from gitreceiver.ports import Ports
from gitreceiver.rekeying import rekey
from gitreceiver.session import Session
from services.chain import Cause
from services.events import MASK
from services.moments import Moment

RECORDING = {
    "create_app",
    "destroy_app",
    "change_config",
    "change_domains",
    "scale",
    "rollback",
    "undo",
    "add_key",
    "remove_key",
}
"""The RPC methods that append; they are told who did it."""


class SessionContext:
    """One session as the Context of the command it runs."""

    def __init__(
        self, session: Session, ports: Ports, call: Callable[..., Any], cause: Cause, events: list[Any]
    ) -> None:
        self._session, self._ports, self._call, self._cause, self._events = session, ports, call, cause, events
        self.actor, self.origin, self.user = session.actor, session.origin, session.user
        self.tty, self.columns = session.tty, session.columns
        self.domain, self.http_port = ports.settings.domain, ports.settings.http_port
        self.quiet = self.force = self.dry_run = False
        self.format = ""
        self.at: int | None = None
        self.log = ports.log
        self.turn = ports.turns.of(session.actor, session.argv)

    def permits(self, needs: str, app: str | None) -> bool:
        """Every stored key may do everything; so may the local user."""
        return True

    def call(self, service: str, method: str, **kwargs: Any) -> Any:
        """See Context."""
        view: dict[str, Any] = {} if self.at is None else {"at": self.at}
        if method in RECORDING:
            kwargs["cause"] = vars_of(self._cause)
            view |= {"dry": True} if self.dry_run else {}
        return self._call(service, method, view, **kwargs)

    def read_stdin(self, limit: int) -> bytes:
        """See Context."""
        return self._session.read_all(limit)

    def read_line(self, limit: int) -> bytes:
        """See Context."""
        line = b""
        while len(line) < limit and not line.endswith(b"\n") and (byte := self._session.read(1)):
            line += byte
        return line

    def write(self, data: bytes, *, exact: bool = False) -> None:
        """See Context."""
        with self.turn.apart():
            self._session.show(data, exact=exact)

    def write_err(self, data: bytes) -> None:
        """See Context."""
        self._session.write_err(data)

    def redraw(self, text: str) -> None:
        """See Context."""
        with self.turn.apart():
            self._session.redraw(text)

    def pause(self, seconds: float) -> None:
        """See Context; raises Disconnected when the client is gone."""
        with self.turn.apart():
            time.sleep(seconds)
            self._session.write_err(b"")

    def seal(self, app: str, key: str, value: str) -> str:
        """See Context. Raises NoSuchApp."""
        return MASK if self.dry_run else self._ports.keyring.seal(self._app(app), key, value)

    def open(self, app: str, key: str, sealed: str) -> str:
        """See Context. Raises NoSuchApp or NotOpenable."""
        return self._ports.keyring.open(self._app(app), key, sealed)

    def rekey(self, limit: int) -> Record:
        """See Context."""
        return rekey(self._ports, self._cause, lambda: self.read_line(limit))

    def follow(self, correlation: str) -> Iterator[bytes | int]:
        """See Context."""
        ports, ending = self._ports, stories.release_ending(self._ports.url)
        for part in stories.follow(correlation, self._events, ports.outputs, ports.projections, ending):
            if isinstance(part, bytes):
                yield part
            else:
                yield part[0].encode()
                yield part[1]

    def events(self, wanted: Wanted) -> Iterator[list[Any]]:
        """See Context."""
        parts, alive = self._ports, lambda: self._session.write_err(b"")
        return history.read(parts.log, parts.projections, parts.called, wanted, alive, self.turn.apart)

    def export_backup(self, *, images: bool) -> None:
        """See Context."""
        export(self._ports, self._session.write, partial(warn, self), self._session.passphrase, images)

    def verify_backup(self) -> Record:
        """See Context."""
        with told(self, self._session.read) as read:
            return restore.verify(self._ports.settings.home, read, self._session.passphrase)

    def import_backup(self, moment: Moment | None, *, dry_run: bool) -> Record:
        """See Context."""
        session, say = self._session, partial(warn, self)
        with told(self, session.read) as read:
            return restore.import_(self._ports, read, session.passphrase, say, moment, dry_run)

    def _app(self, name: str) -> str:
        if self.at is not None:
            return str(self.call("configsvc", "desired", name=name)[name]["app"])
        self._ports.projections.catch_up()
        return self._ports.state.named(name).id
