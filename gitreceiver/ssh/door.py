"""The SSH door as a nameko entrypoint: each exec request becomes one worker with a Session."""

import logging
import resource
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import asyncssh
import eventlet
from eventlet.asyncio import spawn_for_awaitable
from nameko.extensions import Entrypoint

from gitreceiver.removals import Removals
from gitreceiver.session import Session
from gitreceiver.ssh.algorithms import options
from gitreceiver.ssh.hostkey import host_key
from gitreceiver.ssh.house import Authorize
from gitreceiver.ssh.limits import DoorLimits
from gitreceiver.ssh.pace import Pace
from gitreceiver.ssh.server import SshServer
from gitreceiver.ssh.shares import may_take, refusal
from gitreceiver.ssh.startups import Exchanges, Startups
from gitreceiver.ssh.wire import SshWire
from services.errors import PushlogError, Refused
from services.settings import Settings

log = logging.getLogger("pushlog")
F = TypeVar("F", bound=Callable[..., Any])

FILES = 65536
STOP_SECONDS = 5.0


class DoorPorts(Protocol):
    """What the doors take from their service's `ports`."""

    settings: Settings
    limits: DoorLimits
    removals: Removals
    authorized_key: Authorize


class Sessions(Entrypoint):
    """An entrypoint whose workers take a Session.

    The method's result is the exit code (None: 0) unless it called `session.exit` itself. A PushlogError is shown as
    its sentence and ends the session with its exit code; any other error is in the server's log only.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(expected_exceptions=(PushlogError,), **kwargs)
        self.working: dict[int, Session] = {}

    @property
    def ports(self) -> DoorPorts:
        """The service's ports."""
        return cast(DoorPorts, next(d.value for d in self.container.dependencies if d.attr_name == "ports"))

    def work(self, session: Session) -> None:
        """Run the session's command in a worker; waits while all workers are busy."""
        self.working[id(session)] = session
        try:
            self.container.spawn_worker(self, (session,), {}, handle_result=self._finish)
        except Exception:
            self.working.pop(id(session), None)
            session.fail(Refused("Pushlog is stopping; try again in a moment."))
            raise

    def _finish(self, worker: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        """End the session of a worker that returned or raised."""
        session: Session = worker.args[0]
        self.working.pop(id(session), None)
        try:
            if exc_info:
                session.fail(exc_info[1])
            else:
                session.exit(result or 0)
        except Exception:  # a client's failure is its own: the service goes on
            log.exception("a session's end did not reach its client")
        return result, exc_info

    def let_finish(self, seconds: float) -> None:
        """Wait until no worker is busy, at most `seconds`."""
        with eventlet.Timeout(seconds, False):
            while self.working:
                eventlet.sleep(0.05)


class Door(Sessions):
    """`@door`: a worker for each command that comes in over SSH."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._connections: dict[SshServer, None] = {}  # the oldest first
        self._wires: set[SshWire] = set()
        self._listener: asyncssh.SSHAcceptor | None = None

    def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        settings, self.limits = self.ports.settings, self.ports.limits
        self._startups: Startups[SshServer] = Startups(self.limits)
        self.exchanges = Exchanges(self.limits, time.monotonic)
        self.pace = Pace(self.limits.rest, time.monotonic)
        self.ports.removals.tell(self._removed)
        allow_files(FILES)
        # At its info level AsyncSSH logs command lines, and a command line may carry a secret.
        asyncssh.set_log_level(logging.WARNING)
        self._listener = spawn_for_awaitable(
            asyncssh.listen(
                settings.ssh_bind,
                settings.ssh_port,
                server_factory=lambda: SshServer(self),
                server_host_keys=[str(host_key(settings.home / "ssh"))],
                **options(self.limits),
            )
        ).wait()

    def stop(self) -> None:
        """Close the listener, let running sessions end for STOP_SECONDS, then hang up on the rest."""
        self._close()
        self.let_finish(STOP_SECONDS)
        self._hang_up()

    def kill(self) -> None:
        """Close the listener and hang up on everyone."""
        self._close()
        self._hang_up()

    def _close(self) -> None:
        if self._listener:
            self._listener.close()

    def _hang_up(self) -> None:
        for server in list(self._connections):
            server.hang_up()

    def _removed(self, fingerprint: str) -> None:
        """A key was removed: what it opened ends, and so does who just now proves to have it."""
        for server in list(self._connections):
            if fingerprint in server.keys:
                server.expel()

    # What a connection asks of the door: see server.py, House.

    def authorize(self, fingerprint: str, public_key: str) -> str | None:
        """The name of a key that may enter."""
        return self.ports.authorized_key(fingerprint, public_key)

    def entered(self, server: SshServer) -> None:
        """See House."""
        self._connections[server] = None
        if (surplus := self._startups.enter(server, server.source)) is not None:
            surplus.hang_up()

    def authenticated(self, server: SshServer) -> str:
        """See House. Beyond its share a key loses its oldest connection on which no command runs."""
        self._startups.leave(server)
        others = [other for other in self._connections if other.is_logged_in and other is not server]
        if may_take(server.fingerprint, Counter(other.fingerprint for other in others), self.limits.connections):
            return ""
        mine = [other for other in others if other.fingerprint == server.fingerprint]
        if idle := next((other for other in mine if other.is_idle), None):
            idle.end("a newer connection of this key took its place")
            return ""
        return f"This key has {len(mine)} connections open, which is its share; wait for a command on them to end."

    def left(self, server: SshServer) -> None:
        """See House."""
        self._connections.pop(server, None)
        self._startups.leave(server)

    def refusal(self, server: SshServer, open_sessions: int) -> str:
        """See House. A worker whose client left still counts."""
        held = {id(wire): wire.key for wire in self._wires}
        held |= {id(session.wire): getattr(session.wire, "key", "") for session in self.working.values()}
        return refusal(server.fingerprint, Counter(held.values()), open_sessions, self.limits)

    def opened(self, wire: SshWire) -> None:
        """See House."""
        self._wires.add(wire)

    def closed(self, wire: SshWire) -> None:
        """See House."""
        self._wires.discard(wire)


def allow_files(most: int) -> None:
    """Let this process have `most` files and connections open, or as many as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def door(method: F) -> F:
    """Declare a method as what answers a session over SSH."""
    declared: F = Door.decorator(method)
    return declared
