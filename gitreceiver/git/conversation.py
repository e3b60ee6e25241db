"""dulwich's pkt-line protocol on a Session."""

import re
import threading
import time

from dulwich.errors import GitProtocolError, HangupException
from dulwich.protocol import SIDE_BAND_CHANNEL_PROGRESS, ReceivableProtocol

from gitreceiver.session import Disconnected, Session
from services.errors import Refused
from services.terminal import Filter

KEEPALIVE_SECONDS = 5.0
FLUSH_BYTES = 64 * 1024
MAX_COMMANDS = 1000
MAX_BYTES = 4 << 20
"""Of all commands together."""
TURN_LINES = 100
SIDE_BAND_BYTES = 65515


class Conversation(ReceivableProtocol):
    """Reads the commands of a push from a session, and collects what is written until it is worth a packet.

    Output goes out when FLUSH_BYTES are waiting, on `flush`, and before anything is read from the client. `shallow`
    tells that a shallow clone's boundary was read.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(self._receive, self._collect)
        self.shallow = False
        self._commands = self._lines = self._bytes = 0
        self._session = session
        self._out: list[bytes] = []
        self._waiting = 0

    @property
    def begun(self) -> bool:
        """Whether the client said anything."""
        return self._lines > 0

    def read_pkt_line(self) -> bytes | None:
        """The next command, None after the last. Raises Refused for too many, GitProtocolError for what is none."""
        while (line := self._line()) is not None and line.startswith(b"shallow "):
            self.shallow = True
        self._commands += 1
        if self._commands > MAX_COMMANDS + 1:
            raise Refused(f"A push may change at most {MAX_COMMANDS} branches and tags; push fewer at once.")
        return line

    def _line(self) -> bytes | None:
        head = self.read(4)
        if not head:
            raise HangupException
        if head == b"0000":
            return None
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", head) or (size := int(head, 16)) < 5:
            raise GitProtocolError(f"a line begins with {head!r}, which is not a length")
        line = self.read(size - 4)
        self._count(len(line))
        if len(line) < size - 4:
            raise GitProtocolError(f"a line has {len(line)} bytes, not the {size - 4} that it says")
        if line.count(b"\0") > (0 if self._commands else 1):
            raise GitProtocolError("a command has a NUL byte")
        return line

    def _count(self, size: int) -> None:
        self._lines, self._bytes = self._lines + 1, self._bytes + size
        if self._bytes > MAX_BYTES:
            raise Refused("A push may name at most 4 MiB of branches, tags and shallow commits; push fewer at once.")
        if self._lines % TURN_LINES == 0:
            time.sleep(0)  # others have a turn

    def _receive(self, limit: int) -> bytes:
        self.flush()
        try:
            return self._session.read(limit)
        except Disconnected:  # as if the client had hung up, which dulwich and git's programs know
            return b""

    def expect_nothing(self) -> None:
        """The client has sent all, be it that it leaves its side open: it is waited for no longer."""
        self._session.patience = None

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


class SideBand:
    """Progress to the client on side band 2, kept alive while nothing is said. A context manager.

    git prints it on a terminal, so what is said is made harmless to one.
    """

    def __init__(self, conversation: Conversation, enabled: bool) -> None:
        self._conversation = conversation
        self._open = enabled
        self._sending = threading.Lock()
        self._over = threading.Event()
        self._last = time.monotonic()
        self._text = Filter()

    def say(self, text: bytes) -> None:
        """Show `text`; see receive_pack.Progress."""
        with self._sending:
            for piece in self._text.pieces(text):
                self._send(piece)

    def _send(self, text: bytes) -> None:
        if self._open:
            try:
                for at in range(0, len(text) or 1, SIDE_BAND_BYTES):
                    piece = bytes([SIDE_BAND_CHANNEL_PROGRESS]) + text[at : at + SIDE_BAND_BYTES]
                    self._conversation.write_pkt_line(piece)
                self._conversation.flush()
            except Disconnected:
                self._open = False
            self._last = time.monotonic()

    def _keep_alive(self) -> None:
        while not self._over.wait(max(0.1, self._last + KEEPALIVE_SECONDS - time.monotonic())):
            if time.monotonic() >= self._last + KEEPALIVE_SECONDS:
                self.say(b"")

    def __enter__(self) -> "SideBand":
        threading.Thread(target=self._keep_alive, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._sending:  # so that a keep-alive on its way does not fall into the report
            if rest := self._text.end():
                self._send(rest)
            self._open = False
