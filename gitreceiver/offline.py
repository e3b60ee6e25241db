"""The commands that work while nothing runs, under the home's lock: the first key, backups, and what the log tells."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from cli import dispatch
from cli.alone import Alone
from cli.render import warn
from cli.values import Record
from gitreceiver import ports
from gitreceiver.backup import restore
from gitreceiver.backup.export import export
from gitreceiver.backup.progress import told
from gitreceiver.backup.staging import clean
from gitreceiver.context import RECORDING
from gitreceiver.on_git_push import vars_of
from gitreceiver.ports import Ports
from gitreceiver.rekeying import rekey
from services import eventlog, instance, keyring, past
from services.chain import Cause, uuid7
from services.errors import BadInput
from services.eventlog import EventLog
from services.moments import Moment
from services.platform import Platform, assemble
from services.projections import Projections
from services.runner import Streams
from services.settings import Settings

ANSWERED = {
    *(("configsvc", method) for method in ("desired", "blame", "undo")),
    *(("gitreceiver", method) for method in ("add_key", "undo")),
}
"""The questions that need no process but this one."""


class Offline(Alone):
    """A Context whose platform is this process."""

    def __init__(self, platform: Platform, parts: Ports, streams: Streams, cause: Cause) -> None:
        super().__init__(streams.output)
        self._platform, self._ports, self._streams, self._cause = platform, parts, streams, cause

    @property
    def log(self) -> EventLog:
        """See Context."""
        return self._platform.log

    def permits(self, needs: str, app: str | None) -> bool:
        """Who can open the home may do everything."""
        return True

    def call(self, service: str, method: str, **kwargs: Any) -> Any:
        """See Context: a service's own code answers here. What is about a live service has nobody to answer."""
        asked: dict[str, Any] = {"at": self.at}
        if method in RECORDING:
            kwargs["cause"] = vars_of(self._cause)
            asked["dry"] = self.dry_run
        if (service, method) not in ANSWERED:
            return super().call(service, method, **kwargs)
        fresh = replace(self._platform, projections=Projections(self.log))
        build, answers = import_module(f"{service}.ports").build, import_module(f"{service}.answers")
        return getattr(answers, method)(past.view(build(fresh), build, fresh, asked), **kwargs)

    def pause(self, seconds: float) -> None:
        """See Context."""
        time.sleep(seconds)

    def follow(self, correlation: str) -> Iterator[bytes | int]:
        """See Context: what was recorded is taken up at the next start."""
        yield b"       Recorded; it is deployed when the platform runs\n"
        yield 0

    def open(self, app: str, key: str, sealed: str) -> str:
        """See Context."""
        return self._ports.keyring.open(self.call("configsvc", "desired", name=app)[app]["app"], key, sealed)

    def rekey(self, limit: int) -> Record:
        """See Context."""
        return rekey(self._ports, self._cause, lambda: self.read_stdin(limit))

    def read_stdin(self, limit: int) -> bytes:
        """See Context."""
        with os.fdopen(self._streams.input, "rb", closefd=False) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise BadInput(f"stdin: longer than {limit} bytes; allowed are at most {limit}")
        return data

    def export_backup(self, *, images: bool) -> None:
        """See Context."""
        export(self._ports, self.write, partial(warn, self), self._streams.passphrase, images)

    def import_backup(self, moment: Moment | None, *, dry_run: bool) -> Record:
        """See Context."""
        say = partial(warn, self)
        with told(self, partial(os.read, self._streams.input)) as read:
            return restore.import_(self._ports, read, self._streams.passphrase, say, moment, dry_run)


class Anywhere(Alone):
    """A Context that only looks at a backup, and needs no instance."""

    def __init__(self, streams: Streams) -> None:
        super().__init__()
        self._streams = streams

    def permits(self, needs: str, app: str | None) -> bool:
        """Nothing is at stake."""
        return True

    def verify_backup(self) -> Record:
        """See Context."""
        stdin = partial(os.read, self._streams.input)
        with tempfile.TemporaryDirectory(prefix="pushlog-") as folder, told(self, stdin) as read:
            return restore.verify(Path(folder), read, self._streams.passphrase)


def run(settings: Settings, argv: Sequence[str], streams: Streams) -> int:
    """Run one of these commands; returns its exit code. Raises Refused while anything of the instance runs."""
    if "backup:verify" in argv:
        return dispatch.run(Anywhere(streams), argv)
    with instance.locked(settings):
        log, engine = eventlog.open_log(settings.database)
        try:
            given = settings.master_key.get_secret_value() if settings.master_key else None
            ring = keyring.Keyring(engine, keyring.master_key(settings.home / "master.key", given))
            clean(settings.home)
            platform = assemble(settings, log, ring, "offline")
            return dispatch.run(Offline(platform, ports.build(platform), streams, cause_of(argv)), argv)
        finally:
            engine.dispose()


def cause_of(argv: Sequence[str]) -> Cause:
    """Who asks, and for what."""
    return Cause("gitreceiver", "local", "local", dispatch.masked(argv), uuid7())
