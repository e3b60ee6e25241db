"""One SSH connection: which algorithms it may use, who it is, and what it may open.

Who it is, is the key that verified a signature. AsyncSSH asks about a key that is only offered as well, so being
asked proves nothing. No shell, no subsystem, no forwarding of any kind: only exec requests, which become Sessions.
"""

import asyncio
import logging

import asyncssh

from gitreceiver.session import Session, split_line
from gitreceiver.ssh import startups
from gitreceiver.ssh.algorithms import SIGNATURES, openssh, signature_algorithm, weakness
from gitreceiver.ssh.green import in_green
from gitreceiver.ssh.guard import Guard
from gitreceiver.ssh.house import House
from gitreceiver.ssh.idle import Idle
from gitreceiver.ssh.wire import SshWire
from services.decide import KEY_REMOVED
from services.errors import BadInput, PushlogError, Refused

log = logging.getLogger("pushlog.ssh")

NO_SHELL = "Pushlog takes git pushes and commands, and has no shell; try: ssh … help"


class SshServer(asyncssh.SSHServer):
    """One connection's login and requests.

    `origin` is the client's `ip:port`, `source` the address it counts as; `fingerprint` is that of the key that logged
    in, `keys` are all that a login was tried with until then.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self.limits = house.limits
        self._failed_tries = 0
        self._conn: asyncssh.SSHServerConnection | None = None
        self._guard: Guard | None = None
        self._wires: set[SshWire] = set()
        self._running: set[SshWire] = set()
        self._refused = 0
        self._clogged = False
        self._refusal = ""
        self._idle: Idle | None = None
        self.keys: set[str] = set()
        self.fingerprint = self._public_key = ""
        self.source = self.origin = "unknown"

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """See asyncssh.SSHServer."""
        self._conn = conn
        self._loop = asyncio.get_running_loop()
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
        if self._idle:
            self._idle.stop()
        self._house.left(self)
        if self._failed_tries and not self.fingerprint:
            self._house.exchanges.failed(self.source)

    def auth_completed(self) -> None:
        """See asyncssh.SSHServer."""
        if self._guard:
            self._guard.logged_in()
        self.keys = {self.fingerprint}
        self._house.exchanges.succeeded(self.source)
        self._refusal = self._house.authenticated(self)
        self._idle = Idle(self.end)
        self._idle.begin(self.limits.exchange_seconds if self._refusal else self.limits.idle_seconds)

    def turn(self) -> float | None:
        """See guard.Watch: before the login the address counts, after it the key."""
        return self._house.exchanges.wait(self.fingerprint or self.source)

    @property
    def _client(self) -> dict[str, str]:
        """What a record says of whom it is about, so that one address does not use up the log's lines for all."""
        return {"source": self.source}

    def rest(self, size: int, took: float) -> float:
        """See guard.Watch."""
        return self._house.pace.rest(self.fingerprint or self.source, size, took)

    def clogged(self, full: bool) -> None:
        """See guard.Watch."""
        self._clogged = full
        for wire in self._wires:
            wire.clog(full)

    def tried(self, method: str) -> None:
        """See guard.Watch."""
        self._failed_tries += 1
        if method != "publickey" and self._failed_tries == 1:  # of keys more is said
            log.info("ssh %s: tried %s, which is refused", self.origin, method, extra=self._client)

    def ended(self, reason: str) -> None:
        """See guard.Watch."""
        log.info("ssh %s: disconnected: %s", self.origin, reason, extra=self._client)

    @property
    def is_logged_in(self) -> bool:
        """Whether its login has come to an end."""
        return self._idle is not None

    @property
    def is_idle(self) -> bool:
        """Whether no command runs on it, for a moment at least."""
        return self._idle is not None and self._idle.lasts

    def expel(self) -> None:
        """The key was removed: an answer under way may arrive, then the sessions end with a sentence, then all does."""
        self._loop.call_later(self.limits.farewell_seconds, self._dismiss)
        self._loop.call_later(2 * self.limits.farewell_seconds, self.end, "the key was removed")

    def _dismiss(self) -> None:
        for wire in list(self._wires):
            wire.dismiss(KEY_REMOVED)

    def end(self, reason: str) -> None:
        """Disconnect and say why."""
        if self._guard:
            self._guard.end(reason)

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
        self.keys.add(fingerprint)
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
            self.fingerprint, self._public_key = fingerprint, public_key
            return True

        key.verify = verify_and_note  # type: ignore[method-assign, assignment]
        return True

    def _failed(self, fingerprint: str, reason: str) -> None:
        log.info("ssh %s: key %s %s", self.origin, fingerprint, reason, extra=self._client)

    def session_requested(self) -> SshWire:
        """See asyncssh.SSHServer. A refusal is a sentence in the session, unless very many sessions are refused."""
        if self._refused >= self.limits.sessions_per_connection:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "too many sessions; try again later")
        refusal = self._refusal or self._house.refusal(self, len(self._wires))
        wire = SshWire(self._run, self._channel_closed, self.fingerprint, refusal)
        if refusal:
            self._refused += 1
        else:
            wire.clog(self._clogged)
            self._wires.add(wire)
            self._house.opened(wire)
        return wire

    def _channel_closed(self, wire: SshWire) -> None:
        if wire.refusal:
            self._refused -= 1
            return
        self._wires.discard(wire)
        self._house.closed(wire)
        if wire in self._running:
            self._running.discard(wire)
            if self._idle and not self._running:
                self._idle.begin(self.limits.idle_seconds)

    def _run(self, wire: SshWire, line: str | None) -> None:
        """Run one request in a green thread. The key is asked for again: it may have been removed since its login."""
        name = self._house.authorize(self.fingerprint, self._public_key)
        actor = f"{name} {self.fingerprint}"
        session = Session(wire, [], line or "", wire.user, actor, self.origin, wire.tty, wire.columns)
        session.patience = self.limits.idle_seconds
        try:
            if name is None:
                raise Refused(KEY_REMOVED)
            if wire.refusal:
                raise Refused(wire.refusal)
            if line is None:
                raise BadInput(NO_SHELL)
            session.argv = split_line(line)
        except PushlogError as error:
            session.fail(error)
        else:
            if self._idle and not wire.closed:
                self._running.add(wire)
                self._idle.stop()
            self._house.work(session)
