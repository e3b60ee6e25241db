"""dulwich's pkt-line protocol on a Session."""

from dulwich.protocol import ReceivableProtocol

from gitreceiver.session import Session
from services.errors import Refused

FLUSH_BYTES = 64 * 1024
MAX_COMMANDS = 1000
SIDE_BAND_BYTES = 65515


class Conversation(ReceivableProtocol):
    """Reads pkt-lines from a session and collects what is written until it is worth a packet.

    Output goes out when FLUSH_BYTES are waiting, on `flush`, and before anything is read from the client.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(self._receive, self._collect)
        self._session = session
        self._out: list[bytes] = []
        self._waiting = 0

    def _receive(self, limit: int) -> bytes:
        self.flush()
        return self._session.read(limit)

    def _collect(self, data: bytes) -> None:
        self._out.append(data)
        self._waiting += len(data)
        if self._waiting >= FLUSH_BYTES:
            self.flush()

    def write_sideband(self, channel: int, blob: bytes) -> None:
        """Write `blob` on a side band; dulwich's own copies all that is left of it for each packet."""
        for at in range(0, len(blob), SIDE_BAND_BYTES):
            self.write_pkt_line(bytes([channel]) + blob[at : at + SIDE_BAND_BYTES])

    def flush(self) -> None:
        """Send what was written. Raises Disconnected when the client is gone."""
        data, self._out, self._waiting = b"".join(self._out), [], 0
        if data:
            self._session.write(data)


class PushConversation(Conversation):
    """The same for a push: notes the boundary of a shallow clone, and bounds the number of ref commands."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.shallow = False
        self._lines = 0

    def read_pkt_line(self) -> bytes | None:
        """The next command line. Raises Refused after MAX_COMMANDS of them."""
        while (line := super().read_pkt_line()) is not None and line.startswith(b"shallow "):
            self.shallow = True
        self._lines += 1
        if self._lines > MAX_COMMANDS + 1:
            raise Refused(f"A push may change at most {MAX_COMMANDS} branches and tags; push fewer at once.")
        return line
