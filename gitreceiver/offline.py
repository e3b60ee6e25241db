"""The commands that work while nothing runs, under the home's lock: the first key, and backups."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from cli import dispatch
from cli.alone import Alone
from cli.render import warn
from cli.values import Record
from gitreceiver import backup, keys, ports
from gitreceiver.export import export
from gitreceiver.ports import Ports
from gitreceiver.staging import clean
from services import eventlog, keyring
from services.chain import Cause
from services.decide import commit
from services.errors import BadInput
from services.moments import Moment
from services.platform import assemble
from services.runner import Streams
from services.settings import Settings


class Offline(Alone):
    """A Context whose platform is this process."""

    def __init__(self, parts: Ports, streams: Streams, cause: Cause) -> None:
        self._ports, self._streams, self._cause = parts, streams, cause
        self.tty = os.isatty(streams.output)

    def permits(self, needs: str, app: str | None) -> bool:
        """Who can open the home may do everything."""
        return True

    def call(self, service: str, method: str, **kwargs: Any) -> Any:
        """See Context: the first key can be there before the door opens."""
        if (service, method) != ("gitreceiver", "add_key"):
            return super().call(service, method, **kwargs)
        parts = self._ports
        recorded = commit(parts.log, parts.projections, lambda: keys.add(parts.state, **kwargs), self._cause)
        return recorded[0].data.model_dump()

    def read_stdin(self, limit: int) -> bytes:
        """See Context."""
        with os.fdopen(self._streams.input, "rb", closefd=False) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise BadInput(f"stdin: longer than {limit} bytes; allowed are at most {limit}")
        return data

    def write(self, data: bytes) -> None:
        """See Context."""
        while data:
            data = data[os.write(self._streams.output, data) :]

    def export_backup(self) -> None:
        """See Context."""
        export(self._ports, self.write, partial(warn, self), self._streams.passphrase)

    def verify_backup(self) -> Record:
        """See Context."""
        return backup.verify(self._ports, partial(os.read, self._streams.input), self._streams.passphrase)

    def import_backup(self, moment: Moment | None, *, dry_run: bool) -> Record:
        """See Context."""
        read, say = partial(os.read, self._streams.input), partial(warn, self)
        return backup.import_(self._ports, read, self._streams.passphrase, say, moment, dry_run)


def run(settings: Settings, argv: Sequence[str], streams: Streams) -> int:
    """Run one of these commands; returns its exit code. The caller holds the home's lock."""
    log, engine = eventlog.open_log(settings.database)
    try:
        given = settings.master_key.get_secret_value() if settings.master_key else None
        ring = keyring.Keyring(engine, keyring.master_key(settings.home / "master.key", given))
        clean(settings.home)
        parts = ports.build(assemble(settings, log, ring, "offline"))
        return dispatch.run(Offline(parts, streams, cause_of(argv)), argv)
    finally:
        engine.dispose()


def cause_of(argv: Sequence[str]) -> Cause:
    """Who asks, and for what."""
    return Cause("gitreceiver", "local", "local", dispatch.masked(argv))
