"""Secrets are sealed before they enter the log: AES-256-GCM under a data key per app.

The data keys stand beside the log, wrapped by the master key (services/masterkey.py), so that deleting one shreds what
it sealed. A sealed text is bound to its app and name and opens nowhere else.
"""

import base64
import os
from pathlib import Path

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.errors import BadInput, NotOpenable, Refused
from services.events import AppShredded, Event, Recorded
from services.masterkey import KEY_BYTES, GivenKey, KeyFile, MasterKey, parsed
from services.tables import keyring as table

NONCE_BYTES = 12

# of two processes that make an app's key at the same moment, both use the one that was there first
_ADD = sa.text("INSERT INTO keyring (app, wrapped) VALUES (:app, :wrapped) ON CONFLICT DO NOTHING")
# whoever makes a data key looks at the master key while nobody rotates it, and the other way round
_MAKING, _ROTATING = "ROW EXCLUSIVE", "SHARE ROW EXCLUSIVE"


def master_key(path: Path, given: str | None) -> MasterKey:
    """The key that wraps the data keys: `given`, as 64 hexadecimal digits, else the file's. Raises BadInput."""
    return KeyFile(path) if given is None else GivenKey(parsed(given, "PUSHLOG_MASTER_KEY"))


class Forgetting:
    """A fold that has a keyring forget the data keys of apps that were shredded, by whichever process."""

    def __init__(self, keyring: "Keyring") -> None:
        self._keyring = keyring

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        if isinstance(event.data, AppShredded):
            self._keyring.forget(event.data.app)


class Keyring:
    """Seals and opens apps' secrets with data keys that live in the log's database, outside the log."""

    def __init__(self, engine: sa.Engine, master: MasterKey | bytes) -> None:
        self._engine = engine
        self._master = GivenKey(master) if isinstance(master, bytes) else master
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
            plain = self._data_key(app, make=False).decrypt(
                raw[:NONCE_BYTES], raw[NONCE_BYTES:], f"{app}/{name}".encode()
            )
        except (InvalidTag, ValueError, KeyError):
            raise NotOpenable(
                f"the sealed value of {name} does not open; its key is another one, or was shredded"
            ) from None
        return plain.decode("utf-8", "surrogateescape")

    def open_all(self, app: str, sealed: dict[str, str]) -> dict[str, str]:
        """The values of an app's sealed config."""
        return {name: self.open(app, name, text) for name, text in sealed.items()}

    def data_keys(self) -> dict[str, bytes]:
        """Every app's data key, opened, by the app's uuid. Raises NotOpenable."""
        try:
            return self._all()
        except NotOpenable:  # see _data_key
            return self._all()

    def _all(self) -> dict[str, bytes]:
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(table.c.app, table.c.wrapped).order_by(table.c.app)).all()
        return {app: self._unwrap(app, wrapped) for app, wrapped in rows}

    def shred(self, app: str) -> None:
        """Delete an app's data key: what it sealed opens never again."""
        with self._engine.begin() as connection:
            connection.execute(table.delete().where(table.c.app == app))
        self.forget(app)  # after that: who opened something meanwhile has read it once more
        self._leave_no_trace()

    def forget(self, app: str) -> None:
        """Hold an app's data key no more, as another process may have shredded it."""
        self._keys.pop(app, None)

    def rotate(self, given: bytes | None) -> int:
        """Have another master key wrap the data keys, all of them or none; returns how many there are.

        A file's successor is made, a given key's is `given`. `settle` ends it; after a process that ended in between,
        this goes on with what that began. Raises Refused where nothing is wrapped by a given key, NotOpenable where
        the present one does not open the keyring; BadInput as MasterKey.begin.
        """
        with self._engine.begin() as connection:
            if isinstance(self._master, GivenKey) and connection.execute(sa.select(table.c.app)).first() is None:
                raise Refused("nothing is sealed yet; set PUSHLOG_MASTER_KEY to another key and restart")
        self._master.begin(given)
        try:
            with self._engine.begin() as connection:
                self._lock(connection, _ROTATING)
                number = self._wrap_all(connection)
        except BaseException:
            self._master.fail()
            raise
        self._leave_no_trace()
        return number

    def _wrap_all(self, connection: sa.Connection) -> int:
        """Have the present master key wrap every data key."""
        rows = connection.execute(sa.select(table.c.app, table.c.wrapped)).all()
        for app, wrapped in rows:
            again = self.wrap(app, self._unwrap(app, wrapped))
            connection.execute(table.delete().where(table.c.app == app))
            connection.execute(_ADD, {"app": app, "wrapped": again})
        return len(rows)

    def settle(self) -> None:
        """Forget the master key before the present one, as no data key is wrapped by it any more."""
        self._master.settle()

    def unsettled(self) -> bool:
        """Whether a rotation was begun and not ended, perhaps by a process that is gone."""
        return isinstance(self._master, KeyFile) and self._master.begun()

    def wrap(self, app: str, key: bytes) -> bytes:
        """An app's data key as it stands in the table."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._master.current()).encrypt(nonce, key, app.encode())

    def apps(self) -> set[str]:
        """The uuids of the apps that have a data key."""
        with self._engine.begin() as connection:
            return set(connection.execute(sa.select(table.c.app)).scalars())

    def _data_key(self, app: str, make: bool = True) -> AESGCM:
        """An app's data key. Without `make`, KeyError where there is none: what is shredded stays so."""
        if app not in self._keys:
            try:
                plain = self._stored(app, make)
            except NotOpenable:  # or the master key was rotated between the look at the table and that at the file
                plain = self._stored(app, make)
            self._keys[app] = AESGCM(plain)
        return self._keys[app]

    def _stored(self, app: str, make: bool) -> bytes:
        key = sa.select(table.c.wrapped).where(table.c.app == app)
        with self._engine.begin() as connection:
            wrapped = connection.execute(key).scalar()
            if wrapped is None:
                if not make:
                    raise KeyError(app)
                self._lock(connection, _MAKING)
                if other := connection.execute(sa.select(table.c.app, table.c.wrapped).limit(1)).first():
                    self._unwrap(*other)  # a master key that is another one must not wrap beside the right one
                connection.execute(_ADD, {"app": app, "wrapped": self.wrap(app, os.urandom(KEY_BYTES))})
                wrapped = connection.execute(key).scalar_one()
            return self._unwrap(app, wrapped)

    def _unwrap(self, app: str, wrapped: bytes) -> bytes:
        for master in self._master.known():
            try:
                return AESGCM(master).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], app.encode())
            except InvalidTag:
                continue
        raise NotOpenable("the master key does not open this instance's keyring; it is another one")

    def _lock(self, connection: sa.Connection, mode: str) -> None:
        """Keep who rotates and who makes a data key apart. In SQLite a transaction is alone anyway."""
        if self._engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"LOCK TABLE keyring IN {mode} MODE")

    def _leave_no_trace(self) -> None:
        """Have SQLite's write-ahead log hold no data key that was deleted; the pages are overwritten by themselves."""
        if self._engine.dialect.name == "sqlite":
            raw = self._engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                raw.close()
