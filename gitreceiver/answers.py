"""What the door answers over RPC: about the keys that may enter, and trees that are built. All values are JSON."""

from collections.abc import Callable
from typing import Any

from gitreceiver import keys
from gitreceiver.ports import Ports
from gitreceiver.trees import Push
from services.chain import Cause
from services.decide import Decision, commit

Json = dict[str, Any]


def source(ports: Ports, app: str, push: str, commit: str, blob: str) -> bool:
    """Whether the tar of a push's tree is there; if not, ask again. Raises as Trees.ready."""
    return ports.trees.ready(Push(app, push, commit, blob))


def list_keys(ports: Ports) -> list[Json]:
    """Every key, by name."""
    ports.projections.catch_up()
    return keys.listed(ports.state)


def add_key(ports: Ports, name: str, public_key: str, cause: Json) -> Json:
    """Let a key in; returns its name and fingerprint. Raises BadInput or Refused."""
    return _record(ports, cause, lambda: keys.add(ports.state, name, public_key))


def remove_key(ports: Ports, name: str | None, fingerprint: str | None, cause: Json) -> Json:
    """Let a key no longer in; returns its name and fingerprint. Raises Refused."""
    return _record(ports, cause, lambda: keys.remove(ports.state, name, fingerprint))


def undo(ports: Ports, position: int, cause: Json) -> Json:
    """Reverse the adding or removing of a key at `position`, as configsvc's `undo` does. Raises Refused."""
    reverse = keys.undo(ports.log, position)
    _record(ports, cause, lambda: reverse(ports.state))
    command = ports.log.read(position - 1, 1)[0].command
    return {"command": command, "changed": True, "release": None, "correlation": None}


def _record(ports: Ports, cause: Json, decide: Callable[[], Decision]) -> Json:
    recorded = commit(ports.log, ports.projections, decide, Cause(**cause))
    return recorded[0].data.model_dump(include={"name", "fingerprint"})
