"""The master key, which wraps the data keys: a file in the home, made at first need, or given by the operator.

Another one takes its place in three steps: it stands beside the file, the data keys are wrapped by it, it becomes the
file. In between it is what wraps, and a data key may be wrapped by either: whatever ends in the middle loses nothing,
and doing it all again ends it.
"""

import os
from pathlib import Path
from typing import Protocol

from services import files
from services.errors import BadInput

KEY_BYTES = 32


class MasterKey(Protocol):
    """Where a process has its master key from. Looked at whenever one is needed: another process may rotate it."""

    def current(self) -> bytes:
        """What wraps. Raises BadInput where no master key stands."""

    def known(self) -> list[bytes]:
        """What may have wrapped. Raises BadInput where no master key stands."""

    def begin(self, given: bytes | None) -> bytes:
        """Have another one wrap from now on; returns it. Raises BadInput for one that is missing, or needless."""

    def fail(self) -> None:
        """Have no other one wrap after all, as nothing was wrapped by it."""

    def settle(self) -> None:
        """Forget the one before."""


class GivenKey:
    """A master key that the operator keeps. A successor holds until this process ends."""

    def __init__(self, given: bytes) -> None:
        self._keys = [given]
        self._before, self._settled = given, True

    def current(self) -> bytes:
        """See MasterKey."""
        return self._keys[0]

    def known(self) -> list[bytes]:
        """See MasterKey."""
        return list(self._keys)

    def begin(self, given: bytes | None) -> bytes:
        """See MasterKey."""
        if given is None:
            raise BadInput("stdin: PUSHLOG_MASTER_KEY is set, so the new master key is not made here; give it on stdin")
        if given == self.current() and self._settled:
            raise BadInput("stdin: that is the master key already; allowed is another one")
        self._before, self._settled = self.current(), False
        self._keys = [given, *(key for key in self._keys if key != given)]
        return given

    def fail(self) -> None:
        """See MasterKey. The other one stays known: who lost the database while it committed cannot tell."""
        self._keys = [self._before, *(key for key in self._keys if key != self._before)]

    def settle(self) -> None:
        """See MasterKey. Other processes hold the one before until they are restarted, and so does this one."""
        self._settled = True


class KeyFile:
    """A master key in a file (0600), made at first need; its successor stands beside it, as `….new`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new = path.with_name(f"{path.name}.new")
        self._begun: bytes | None = None

    def current(self) -> bytes:
        """See MasterKey."""
        if not (known := self.known()):
            files.create(self._path, _made())
            known = self.known()
        return known[0]

    def known(self) -> list[bytes]:
        """See MasterKey."""
        keys = []
        for path in (self._new, self._path):  # in this order: it is there under one of the names whenever it is renamed
            try:
                keys.append(parsed(path.read_text().strip(), str(path)))
            except FileNotFoundError:
                continue
            except UnicodeDecodeError:
                raise BadInput(f"{path}: not a master key; {ALLOWED}") from None
        return keys

    def begin(self, given: bytes | None) -> bytes:
        """See MasterKey. One that was begun before goes on."""
        if given is not None:
            raise BadInput("stdin: the master key is a file and its successor is made here; run it without input")
        files.create(self._new, _made())
        self._begun = self.known()[0]
        return self._begun

    def fail(self) -> None:
        """See MasterKey. It stays as it is: the next rotation goes on with it."""

    def settle(self) -> None:
        """See MasterKey. What somebody else has begun since is left to them."""
        if self.begun() and self.known()[0] == self._begun:
            self._new.rename(self._path)
            files.sync_folder(self._path.parent)

    def begun(self) -> bool:
        """Whether a successor waits for its place."""
        return self._new.exists()


ALLOWED = f"allowed are {2 * KEY_BYTES} hexadecimal digits"


def parsed(text: str, where: str) -> bytes:
    """The master key of its 64 hexadecimal digits. Raises BadInput, which names `where` and does not show it."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or len(text) != 2 * KEY_BYTES:
        raise BadInput(f"{where}: not a master key; {ALLOWED}")
    return key


def _made() -> bytes:
    return os.urandom(KEY_BYTES).hex().encode()
