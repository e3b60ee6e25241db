"""One SSH connection: which algorithms it may use, who it is, and what it may open.

Who it is, is the key that verified a signature. AsyncSSH asks about a key that is only offered as well, so being
asked proves nothing. No shell, no subsystem, no forwarding of any kind: only exec requests, which become Sessions.
"""

import logging
import socket
from collections.abc import Callable
from typing import Any, Protocol

import asyncssh
from asyncssh.kex import get_kex_algs

from gitreceiver.session import Session, split_line
from gitreceiver.ssh.seldom import Seldom
from gitreceiver.ssh.wire import SshWire, in_green
from services.errors import BadInput, PushlogError, Refused

log = logging.getLogger("pushlog.ssh")
log.addFilter(Seldom(60, 60.0))

KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
)
# Without chacha20 and CBC a Terrapin prefix truncation has nothing to work on, strict key exchange or not.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
SIGNATURES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-512",
)
RSA_BITS = 2048
LOGIN_SECONDS = 30
LOGIN_TRIES = 6
SESSIONS_PER_CONNECTION = 32
KEEPALIVE_SECONDS = 30
NO_SHELL = "Pushlog takes git pushes and commands, and has no shell; try: ssh … help"

Authorize = Callable[[str, str], str | None]
"""(fingerprint, public key as `<algorithm> <base64>`) → the key's name, or None when it may not enter. May block."""


class House(Protocol):
    """What a connection needs of the door behind it."""

    authorize: Authorize

    def entered(self, server: "SshServer") -> bool:
        """A client connected. False: there are too many, it is hung up on."""

    def authenticated(self, server: "SshServer") -> None:
        """The client proved who it is."""

    def left(self, server: "SshServer") -> None:
        """The client's connection is gone."""

    def has_room(self) -> bool:
        """Whether one more session may begin."""

    def opened(self, wire: SshWire) -> None:
        """A session's channel is open."""

    def closed(self, wire: SshWire) -> None:
        """A session's channel is gone; its worker may go on."""

    def work(self, session: Session) -> None:
        """Run the session's command."""


def options() -> dict[str, Any]:
    """The server options of `asyncssh.listen`: public keys only, modern algorithms, nothing but exec."""
    known = {name.decode() for name in get_kex_algs()}
    return {
        "kex_algs": [name for name in KEX if name in known],
        "encryption_algs": list(CIPHERS),
        "mac_algs": list(MACS),
        "compression_algs": None,
        "signature_algs": list(SIGNATURES),
        "public_key_auth": True,
        "password_auth": False,
        "kbdint_auth": False,
        "host_based_auth": False,
        "gss_host": None,
        "x509_trusted_certs": None,
        "agent_forwarding": False,
        "x11_forwarding": False,
        "line_editor": False,
        "allow_scp": False,
        "encoding": None,
        "login_timeout": LOGIN_SECONDS,
        "keepalive_interval": KEEPALIVE_SECONDS,
        "config": None,
        "server_version": "Pushlog",
    }


class SshServer(asyncssh.SSHServer):
    """One connection's login and requests."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._failures = 0
        self._sessions = 0
        self._conn: asyncssh.SSHServerConnection | None = None
        self._fingerprint = self._public_key = ""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """See asyncssh.SSHServer."""
        self._conn = conn
        acknowledge_at_once(conn)
        if not self._house.entered(self):
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncssh.SSHServer."""
        self._house.left(self)

    def auth_completed(self) -> None:
        """See asyncssh.SSHServer."""
        del self._conn.data_received  # type: ignore[union-attr]  # we are called by it
        self._house.authenticated(self)

    def hang_up(self) -> None:
        """Drop the connection."""
        if self._conn:
            self._conn.abort()

    @property
    def origin(self) -> str:
        """`ip:port` of the client."""
        peer = self._conn.get_extra_info("peername") if self._conn else None
        host, port = peer[:2] if peer else ("unknown", 0)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def public_key_auth_supported(self) -> bool:
        """See asyncssh.SSHServer."""
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether `key` may enter, provided that it then verifies a signature."""
        fingerprint, public_key = key.get_fingerprint(), openssh(key)
        reason = weakness(key)
        if not reason and await in_green(self._house.authorize, fingerprint, public_key) is None:
            reason = "is not known"
        if reason:
            self._failed(fingerprint, reason)
            return False
        verify = key.verify

        def verify_and_note(data: bytes, signature: bytes) -> bool:
            algorithm = signature_algorithm(signature)
            if algorithm not in SIGNATURES:
                self._failed(fingerprint, f"signed with {algorithm}, which is refused")
                return False
            if not verify(data, signature):
                self._failed(fingerprint, "sent a signature that does not verify")
                return False
            self._fingerprint, self._public_key = fingerprint, public_key
            return True

        key.verify = verify_and_note  # type: ignore[method-assign, assignment]
        return True

    def _failed(self, fingerprint: str, reason: str) -> None:
        log.info("ssh %s: key %s %s", self.origin, fingerprint, reason)
        self._failures += 1
        if self._failures >= LOGIN_TRIES and self._conn:
            self._conn.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many authentication failures")

    def session_requested(self) -> SshWire:
        """See asyncssh.SSHServer."""
        if self._sessions >= SESSIONS_PER_CONNECTION or not self._house.has_room():
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "too many sessions; try again later")
        self._sessions += 1
        wire = SshWire(self._run, self._channel_closed)
        self._house.opened(wire)
        return wire

    def _channel_closed(self, wire: SshWire) -> None:
        self._sessions -= 1
        self._house.closed(wire)

    def _run(self, wire: SshWire, line: str | None) -> None:
        """Run one request in a green thread. The key is asked for again: it may have been removed since its login."""
        name = self._house.authorize(self._fingerprint, self._public_key)
        actor = f"{name} {self._fingerprint}"
        session = Session(wire, [], line or "", wire.user, actor, self.origin, wire.tty, wire.columns)
        try:
            if name is None:
                raise Refused("This key was removed and may not enter any more.")
            if line is None:
                raise BadInput(NO_SHELL)
            session.argv = split_line(line)
        except PushlogError as error:
            session.fail(error)
        else:
            self._house.work(session)


def openssh(key: asyncssh.SSHKey) -> str:
    """The public key as `<algorithm> <base64>`."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


def weakness(key: asyncssh.SSHKey) -> str:
    """Why this kind of key is refused, or an empty text."""
    algorithm = key.get_algorithm()
    if algorithm == "ssh-rsa":
        bits = getattr(key.pyca_key, "key_size", 0)
        return f"is RSA with {bits} bits, under {RSA_BITS}" if bits < RSA_BITS else ""
    return "" if algorithm in SIGNATURES else f"is {algorithm}, which is refused"


def signature_algorithm(signature: bytes) -> str:
    """The algorithm that an SSH signature blob names."""
    length = int.from_bytes(signature[:4], "big")
    return signature[4 : 4 + length].decode("ascii", "replace")


def acknowledge_at_once(conn: asyncssh.SSHServerConnection) -> None:
    """Have TCP acknowledge what comes in on `conn` at once, until its `data_received` is deleted.

    During its login OpenSSH's client holds a message back until the one before is acknowledged, which Linux else puts
    off for 40 ms.
    """
    connected, receive = conn.get_extra_info("socket"), conn.data_received

    def data_received(data: bytes, datatype: int | None = None) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # for now only: Linux forgets it
        receive(data, datatype)

    conn.data_received = data_received  # type: ignore[method-assign]
