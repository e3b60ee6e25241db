"""log:rekey: another master key, under the same data keys; no event is rewritten."""

import threading
from collections.abc import Callable
from typing import Any

from gitreceiver.ports import Ports
from services.chain import Cause, Draft
from services.errors import BadInput
from services.events import AUDIT, KeyringRekeyed
from services.masterkey import parsed

_one = threading.Lock()


def rekey(ports: Ports, cause: Cause, read: Callable[[], bytes]) -> dict[str, Any]:
    """Rotate the master key and record it; returns how many data `keys` there are, and whether the key was `given`.

    Where the operator keeps the master key, what `read` gives is the new one. Raises BadInput, Refused and NotOpenable
    as Keyring.rotate.
    """
    given = ports.settings.master_key is not None
    text = read().decode(errors="replace").strip() if given else ""
    if given and not text:
        raise BadInput("stdin: empty; PUSHLOG_MASTER_KEY is set, so allowed is the new key, 64 hexadecimal digits")
    return {"given": given, "keys": _rotate(ports, cause, parsed(text, "stdin") if given else None)}


def finish(ports: Ports) -> None:
    """End a rotation in whose middle a process died."""
    if ports.keyring.unsettled():
        _rotate(ports, Cause("gitreceiver", "gitreceiver"), None)


def _rotate(ports: Ports, cause: Cause, key: bytes | None) -> int:
    with _one:
        keys = ports.keyring.rotate(key)
        # before it is settled: who dies in between records it once more rather than never
        ports.log.append([Draft(AUDIT, "keyring", KeyringRekeyed(keys=keys))], cause)
        ports.keyring.settle()
    return keys
