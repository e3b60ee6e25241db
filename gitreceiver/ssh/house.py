"""What a connection needs of the door behind it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gitreceiver.session import Session
from gitreceiver.ssh.limits import DoorLimits
from gitreceiver.ssh.pace import Pace
from gitreceiver.ssh.startups import Exchanges
from gitreceiver.ssh.wire import SshWire

if TYPE_CHECKING:
    from gitreceiver.ssh.server import SshServer

Authorize = Callable[[str, str], str | None]
"""(fingerprint, public key as `<algorithm> <base64>`) → the key's name, or None when it may not enter. May block."""


class House(Protocol):
    """The door, as its connections see it."""

    authorize: Authorize
    limits: DoorLimits
    exchanges: Exchanges
    pace: Pace

    def entered(self, server: "SshServer") -> None:
        """A client connected; another one may have to go."""

    def authenticated(self, server: "SshServer") -> str:
        """The client proved who it is. Returns why nothing may run on this connection, or an empty text."""

    def left(self, server: "SshServer") -> None:
        """The client's connection is gone."""

    def refusal(self, server: "SshServer", open_sessions: int) -> str:
        """Why no further session may begin on a connection with so many, or an empty text."""

    def opened(self, wire: SshWire) -> None:
        """A session's channel is open."""

    def closed(self, wire: SshWire) -> None:
        """A session's channel is gone; its worker may go on."""

    def work(self, session: Session) -> None:
        """Run the session's command."""
