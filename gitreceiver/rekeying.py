"""log:rekey: another master key, under the same data keys; no event is rewritten."""

import threading

from gitreceiver.ports import Ports
from services.chain import Cause, Draft
from services.errors import BadInput
from services.events import AUDIT, KeyringRekeyed
from services.masterkey import parsed

_one = threading.Lock()


def rekey(ports: Ports, cause: Cause, given: str) -> int:
    """Rotate the master key and record it; returns how many data keys there are.

    `given` is what came on stdin, in which a new key stands if the operator keeps the master key, and nothing else.
    Raises BadInput, Refused and NotOpenable as Keyring.rotate.
    """
    if given:
        key = parsed(given, "stdin")
    elif ports.settings.master_key:
        raise BadInput("stdin: empty; PUSHLOG_MASTER_KEY is set, so allowed is the new key, 64 hexadecimal digits")
    else:
        key = None
    return _rotate(ports, cause, key)


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
