"""The state of all folds at one position, so that a start need not read the log from its beginning.

A snapshot may be thrown away at any time. It is used only by the very code that wrote it, and only while the event that
it ends with stands in the log; anything else about it is one line in the program's log, and the log is read instead.

It is a pickle, because that keeps what the folds share shared and is read four times as fast as JSON. Reading a pickle
can run what it names, so this reads no other classes than those of events and states, and the file is never anyone's
but the instance's: written by itself, readable by nobody else, in no backup.
"""

import hashlib
import io
import json
import pickle
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from services import files
from services.errors import PushlogError

PACKAGES = Path(__file__).parent.parent


@dataclass(frozen=True)
class Snapshot:
    """What each fold's `__getstate__` gave after the event at `position`, whose hash is `hash`."""

    position: int
    hash: str
    states: dict[str, Any]


class Unusable(PushlogError):
    """Why a snapshot is of no use: a start takes longer, and that is all."""


class Snapshots:
    """The one snapshot at `path`. `code` names the code whose folds it holds, see `code_identity`."""

    def __init__(self, path: Path, code: str) -> None:
        self._path = path
        self._code = code

    def save(self, snapshot: Snapshot) -> None:
        """Replace the snapshot. Raises Unusable when it cannot be written."""
        header = json.dumps([self._code, snapshot.position, snapshot.hash]).encode()
        content = header + b"\n" + pickle.dumps(snapshot.states, pickle.HIGHEST_PROTOCOL)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.replace(self._path, hashlib.sha256(content).digest() + content)
        except OSError as error:
            raise Unusable(f"it cannot be written: {error}") from None

    def load(self) -> Snapshot | None:
        """The snapshot, if there is one. Whether it is one of this log is to be asked of the log. Raises Unusable."""
        try:
            return self._read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unusable(f"it cannot be read: {error}") from None

    def _read(self) -> Snapshot:
        with self._path.open("rb") as file:
            digest, content = file.read(hashlib.sha256().digest_size), file.read()
        if hashlib.sha256(content).digest() != digest:
            raise Unusable("it is damaged")
        header, _, states = content.partition(b"\n")
        code, position, hash_ = json.loads(header)
        if code != self._code:
            raise Unusable("another version wrote it")
        return Snapshot(position, hash_, OurUnpickler(io.BytesIO(states)).load())


class OurUnpickler(pickle.Unpickler):
    """Makes events and the parts of states, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of this name."""
        if module != "services.events" and not module.endswith(".state"):
            raise Unusable(f"it holds a {module}.{name}")
        found = super().find_class(module, name)
        if not isinstance(found, type) or found.__module__ != module:
            raise Unusable(f"it holds a {module}.{name}")
        return found


def code_identity(packages: Iterable[str]) -> str:
    """A digest of the source of these packages, and of what else decides how a state looks: Python's and pydantic's."""
    digest = hashlib.sha256(f"{sys.version} {pydantic.VERSION}".encode())
    for package in sorted(packages):
        for path in sorted((PACKAGES / package).rglob("*.py")):
            digest.update(f"\n{path.relative_to(PACKAGES)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
