"""One SSH connection: which algorithms it may use, who it is, and what it may open.

Who it is, is the key that verified a signature. AsyncSSH asks about a key that is only offered as well, so being
asked proves nothing. No shell, no subsystem, no forwarding of any kind: only exec requests, which become Sessions.
"""

import logging
from collections.abc import Callable
from typing import Any, Protocol

import asyncssh

from gitreceiver.session import Session, split_line
from gitreceiver.ssh import algorithms, startups
from gitreceiver.ssh.algorithms import SIGNATURES, openssh, signature_algorithm, weakness
from gitreceiver.ssh.guard import Guard
from gitreceiver.ssh.limits import DoorLimits
from gitreceiver.ssh.seldom import Seldom
from gitreceiver.ssh.wire import SshWire, in_green
from services.errors import BadInput, PushlogError, Refused

log = logging.getLogger("pushlog.ssh")
log.addFilter(Seldom(60, 60.0))

SESSIONS_PER_CONNECTION = 32
KEEPALIVE_SECONDS = 30
NO_SHELL = "Pushlog takes git pushes and commands, and has no shell; try: ssh … help"

Authorize = Callable[[str, str], str | None]
"""(fingerprint, public key as `<algorithm> <base64>`) → the key's name, or None when it may not enter. May block."""


class House(Protocol):
    """What a connection needs of the door behind it."""

    authorize: Authorize
    limits: DoorLimits
    exchanges: startups.Exchanges

    def entered(self, server: "SshServer") -> None:
        """A client connected; another one may have to go."""

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


def options(limits: DoorLimits) -> dict[str, Any]:
    """The server options of `asyncssh.listen`: public keys only, modern algorithms, nothing but exec."""
    return {
        "kex_algs": algorithms.offered_exchanges(),
        "encryption_algs": list(algorithms.CIPHERS),
        "mac_algs": list(algorithms.MACS),
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
        "login_timeout": limits.login_seconds,
        "keepalive_interval": KEEPALIVE_SECONDS,
        "config": None,
        "server_version": "Pushlog",
    }


class SshServer(asyncssh.SSHServer):
    """One connection's login and requests. `origin` is the client's `ip:port`, `source` the address it counts as."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.limits = house.limits
        self._failed_tries = 0
        self._sessions = 0
        self._conn: asyncssh.SSHServerConnection | None = None
        self._guard: Guard | None = None
        self._fingerprint = self._public_key = ""
        self.source = self.origin = "unknown"

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """See asyncssh.SSHServer."""
        self._conn = conn
        if peer := conn.get_extra_info("peername"):
            host, port = peer[:2]
            self.source = startups.source(host)
            self.origin = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._guard = Guard(conn, self)
        self._house.entered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncssh.SSHServer."""
        if self._guard:
            self._guard.left()
        self._house.left(self)
        if self._failed_tries and not self._fingerprint:
            self._house.exchanges.failed(self.source)

    def auth_completed(self) -> None:
        """See asyncssh.SSHServer."""
        if self._guard:
            self._guard.logged_in()
        self._house.exchanges.succeeded(self.source)
        self._house.authenticated(self)

    def turn(self) -> float | None:
        """See guard.Watch: before the login the address counts, after it the key."""
        return self._house.exchanges.wait(self._fingerprint or self.source)

    def tried(self, method: str) -> None:
        """See guard.Watch."""
        self._failed_tries += 1
        if method != "publickey" and self._failed_tries == 1:  # of keys more is said
            log.info("ssh %s: tried %s, which is refused", self.origin, method)

    def ended(self, reason: str) -> None:
        """See guard.Watch."""
        log.info("ssh %s: disconnected: %s", self.origin, reason)

    def hang_up(self) -> None:
        """Drop the connection."""
        if self._conn:
            self._conn.abort()

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
