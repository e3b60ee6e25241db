"""The keyring in a backup: the apps' data keys as they are, or sealed under a passphrase (scrypt, AES-256-GCM)."""

import base64
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gitreceiver.backup.archive import BadBackup
from services.errors import Refused
from services.keyring import NONCE_BYTES
from services.masterkey import KEY_BYTES
from services.names import UUID_PATTERN, matches

Json = dict[str, Any]
COST = {"n": 1 << 16, "r": 8, "p": 2}
"""64 MiB and about 0.4 s for each try at a passphrase."""
WHOLE = "pushlog-backup"
"""What is sealed besides the keys, so that a wrong passphrase shows where there is no key."""


def written(keys: dict[str, bytes], passphrase: str | None) -> Json:
    """The part of a backup that holds the data keys, by their apps' uuids."""
    if passphrase is None:
        return {"sealed": False, "keys": {app: key.hex() for app, key in keys.items()}}
    salt = os.urandom(16)
    cipher = _cipher(passphrase, salt)

    def seal(name: str, plain: bytes) -> str:
        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + cipher.encrypt(nonce, plain, name.encode())).decode()

    sealed = {app: seal(f"{WHOLE}/{app}", key) for app, key in keys.items()}
    return {"sealed": True, "salt": salt.hex(), **COST, "check": seal(WHOLE, b""), "keys": sealed}


def most(apps: int) -> int:
    """How many bytes of JSON the part is at most, of so many apps: a few of others' become much memory."""
    return 4096 + 256 * apps


def opened(part: Json, passphrase: str | None) -> dict[str, bytes]:
    """The data keys of such a part. Raises Refused for a missing or another passphrase, BadBackup for what is none."""
    try:
        if part["sealed"] is False:
            keys = {app: bytes.fromhex(key) for app, key in part["keys"].items()}
        elif {name: part[name] for name in COST} != COST:
            raise ValueError("another cost")
        elif passphrase is None:
            raise Refused("the backup's keyring is sealed; give its passphrase by --passphrase-file FILE")
        else:
            keys = _unsealed(part, _cipher(passphrase, bytes.fromhex(part["salt"])))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise BadBackup("the backup is damaged: its keyring is not what Pushlog writes") from None
    if any(not matches(UUID_PATTERN, app) or len(key) != KEY_BYTES for app, key in keys.items()):
        raise BadBackup("the backup is damaged: its keyring is not what Pushlog writes")
    return keys


def _unsealed(part: Json, cipher: AESGCM) -> dict[str, bytes]:
    def unseal(name: str, sealed: str) -> bytes:
        raw = base64.b64decode(sealed, validate=True)
        return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], name.encode())

    try:
        unseal(WHOLE, part["check"])
    except InvalidTag:
        raise Refused("the backup's keyring does not open; it is sealed with another passphrase") from None
    try:
        return {app: unseal(f"{WHOLE}/{app}", sealed) for app, sealed in part["keys"].items()}
    except InvalidTag:
        raise BadBackup("the backup is damaged: a key of its keyring does not open") from None


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=KEY_BYTES, **COST).derive(passphrase.encode()))
