"""Secrets are sealed before they enter the log: AES-256-GCM under a data key per app.

The data keys stand beside the log, wrapped by the master key, so that deleting one shreds what it sealed. A sealed
text is bound to its app and name and opens nowhere else.
"""

import base64
import os
from pathlib import Path

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services import files
from services.errors import BadInput, NotOpenable
from services.tables import keyring as table

KEY_BYTES = 32
NONCE_BYTES = 12

# of two processes that make an app's key at the same moment, both use the one that was there first
_ADD = sa.text("INSERT INTO keyring (app, wrapped) VALUES (:app, :wrapped) ON CONFLICT DO NOTHING")


def master_key(path: Path, given: str | None) -> bytes:
    """The key that wraps the data keys: `given` as 64 hexadecimal digits, else the file's, made at first use (0600)."""
    if given is None and not path.exists():
        files.create(path, os.urandom(KEY_BYTES).hex().encode())
    try:
        key = bytes.fromhex(given if given is not None else path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        where = "PUSHLOG_MASTER_KEY" if given is not None else str(path)
        raise BadInput(f"{where}: not a master key; allowed are {2 * KEY_BYTES} hexadecimal digits")
    return key


class Keyring:
    """Seals and opens apps' secrets with data keys that live in the log's database, outside the log."""

    def __init__(self, engine: sa.Engine, master: bytes) -> None:
        self._engine = engine
        self._master = AESGCM(master)
        self._keys: dict[str, AESGCM] = {}

    def seal(self, app: str, name: str, value: str) -> str:
        """`value` sealed for the app `app` (uuid) under `name`: base64 text. Raises BadInput for one with a NUL byte.

        No process can be given that, and whoever tried would say the value in an error.
        """
        if "\0" in value:
            raise BadInput(f"config: the value of {name} has a NUL byte; allowed is text without")
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._data_key(app).encrypt(nonce, value.encode("utf-8", "surrogateescape"), f"{app}/{name}".encode())
        return base64.b64encode(nonce + sealed).decode()

    def open(self, app: str, name: str, sealed: str) -> str:
        """The value of a sealed text. Raises NotOpenable for another app's, another name's or a damaged one."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            plain = self._data_key(app).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], f"{app}/{name}".encode())
        except (InvalidTag, ValueError):
            raise NotOpenable(
                f"the sealed value of {name} does not open; its key is another one, or was shredded"
            ) from None
        return plain.decode("utf-8", "surrogateescape")

    def open_all(self, app: str, sealed: dict[str, str]) -> dict[str, str]:
        """The values of an app's sealed config."""
        return {name: self.open(app, name, text) for name, text in sealed.items()}

    def data_keys(self) -> dict[str, bytes]:
        """Every app's data key, opened, by the app's uuid. Raises NotOpenable."""
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(table.c.app, table.c.wrapped).order_by(table.c.app)).all()
        return {app: self._unwrap(app, wrapped) for app, wrapped in rows}

    def wrap(self, app: str, key: bytes) -> bytes:
        """An app's data key as it stands in the table."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._master.encrypt(nonce, key, app.encode())

    def shred(self, app: str) -> None:
        """Delete an app's data key: what it sealed opens never again."""
        self._keys.pop(app, None)
        with self._engine.begin() as connection:
            connection.execute(table.delete().where(table.c.app == app))

    def _data_key(self, app: str) -> AESGCM:
        if app not in self._keys:
            with self._engine.begin() as connection:
                key = sa.select(table.c.wrapped).where(table.c.app == app)
                wrapped = connection.execute(key).scalar()
                if wrapped is None:
                    connection.execute(_ADD, {"app": app, "wrapped": self.wrap(app, os.urandom(KEY_BYTES))})
                    wrapped = connection.execute(key).scalar_one()
            self._keys[app] = AESGCM(self._unwrap(app, wrapped))
        return self._keys[app]

    def _unwrap(self, app: str, wrapped: bytes) -> bytes:
        try:
            return self._master.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], app.encode())
        except InvalidTag:
            raise NotOpenable("the master key does not open this instance's keyring; it is another one") from None
