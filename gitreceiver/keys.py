"""Who may enter: SSH keys, by name and fingerprint."""

from collections.abc import Callable
from typing import Any

from gitreceiver.state import Key, State
from services import names
from services.chain import Draft
from services.decide import Decision
from services.errors import Refused
from services.eventlog import PAGE, EventLog
from services.events import KeyAdded, KeyRemoved, key_stream
from services.sshkeys import parse_public_key

Json = dict[str, Any]


def add(state: State, name: str, public_key: str) -> Decision:
    """Let a key in under `name`. Raises BadInput for what is no single good public key, Refused for a known one."""
    names.key_name(name)
    key = parse_public_key(public_key)
    if known := state.keys.get(key.fingerprint):
        raise Refused(f"key: {key.fingerprint} is stored already, as {known.name}")
    if any(other.name == name for other in state.keys.values()):
        raise Refused(f"name: {name} is another key's; remove that first with: ssh-keys:remove {name}")
    event = KeyAdded(name=name, fingerprint=key.fingerprint, public_key=f"{key.algorithm} {key.base64}")
    return _decision(state, event.fingerprint, name, event)


def remove(state: State, name: str | None, fingerprint: str | None) -> Decision:
    """Let the key called `name`, or with this fingerprint, no longer in. Raises Refused when there is none."""
    key = next((k for k in state.keys.values() if k.name == name or k.fingerprint == fingerprint), None)
    if key is None:
        raise Refused(f"key: there is no key {names.shown(name or fingerprint or '')}; see: ssh-keys:list")
    return _decision(state, key.fingerprint, key.name, KeyRemoved(name=key.name, fingerprint=key.fingerprint))


def undo(log: EventLog, position: int) -> Callable[[State], Decision]:
    """What takes a key out that came in at `position`, or lets one in that went; raises Refused when it is given a
    state in which that is no more so.
    """
    found = next(iter(log.read(position - 1, 1)), None)
    match found and found.data:
        case KeyAdded() as added:
            return lambda state: _take_out(state, added)
        case KeyRemoved(name=name, fingerprint=fingerprint):
            key = key_before(log, fingerprint, position)
            return lambda state: add(state, name, key)
    raise Refused(f"undo: no key was added or removed at position {position}")


def _take_out(state: State, added: KeyAdded) -> Decision:
    key = state.keys.get(added.fingerprint)
    if key is None or key.name != added.name:
        raise Refused(f"key: {added.name} was removed since; see: events --type key.removed")
    return remove(state, None, added.fingerprint)


def key_before(log: EventLog, fingerprint: str, position: int) -> str:
    """The key that was removed at `position`, `<algorithm> <base64>`, as it was added."""
    after, key = 0, ""
    while after < position - 1:
        page = log.read(after, min(PAGE, position - 1 - after))
        after = page[-1].position
        for event in page:
            if isinstance(event.data, KeyAdded) and event.data.fingerprint == fingerprint:
                key = event.data.public_key
    return key


def listed(state: State) -> list[Json]:
    """Every key, by name."""
    return [
        {"name": key.name, "fingerprint": key.fingerprint, "added": key.added}
        for key in sorted(state.keys.values(), key=lambda key: key.name)
    ]


def authorized(state: State, fingerprint: str, public_key: str) -> str | None:
    """The name of a key that may enter; the whole key must be the stored one."""
    key: Key | None = state.keys.get(fingerprint)
    return key.name if key and key.public_key.split()[:2] == public_key.split()[:2] else None


def _decision(state: State, fingerprint: str, name: str, event: KeyAdded | KeyRemoved) -> Decision:
    stream = key_stream(fingerprint)
    return Decision([Draft(stream, name, event)], {stream: state.key_versions.get(fingerprint, 0)})
