"""Text from outside on its way to a terminal: what it may do there is be text, end a line, and be coloured.

Everything else that a terminal acts on (titles, the clipboard, the cursor, bells, the direction of writing) is shown as
an escape such as `\\x1b`. Every part of the output is harmless by itself, so that parts of two outputs can be mixed.
"""

import codecs
import re
from collections.abc import Iterator

HARMFUL = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff"
LONGEST_COLOUR = 32
"""Characters between `ESC [` and the `m`."""
PIECE = 16 * 1024
_TOKEN = re.compile(rf"(\x1b\[[0-9;]{{0,{LONGEST_COLOUR}}}m)|(\r?\n)|[{HARMFUL}]")
_HARMFUL = re.compile(f"[{HARMFUL}]")
_BEGUN = re.compile(rf"(?:\x1b(?:\[[0-9;]{{0,{LONGEST_COLOUR}}})?|\r)\Z")
_PLAIN = re.compile(r"\x1b\[[0;]*m")
RESET = "\x1b[0m"


class Filter:
    """Makes a stream harmless, which comes in pieces cut anywhere. A colour ends with its line."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._begun = ""
        self._coloured = False

    def feed(self, data: bytes) -> bytes:
        """The next piece. What may be the beginning of a colour, a line end or a character is held back."""
        text = self._begun + self._decoder.decode(data)
        begun = _BEGUN.search(text, max(0, len(text) - LONGEST_COLOUR - 2))
        end = begun.start() if begun else len(text)
        self._begun = text[end:]
        return self._harmless(text[:end])

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The same for a large piece, bit by bit: at worst each byte becomes an escape, and others want their turn."""
        for at in range(0, len(data) or 1, PIECE):
            yield self.feed(data[at : at + PIECE])

    def end(self) -> bytes:
        """What was held back, and the end of its colour."""
        text, self._begun = self._begun + self._decoder.decode(b"", True), ""
        return self._harmless(text) + self._uncoloured().encode()

    def _harmless(self, text: str) -> bytes:
        if not self._coloured and not _HARMFUL.search(text):  # most text by far
            return text.encode()
        return _TOKEN.sub(self._token, text).encode()

    def _token(self, found: re.Match[str]) -> str:
        colour, line_end = found.groups()
        if colour:
            self._coloured = not _PLAIN.fullmatch(colour)
            return str(colour)
        return self._uncoloured() + "\n" if line_end else escaped(found[0])

    def _uncoloured(self) -> str:
        reset, self._coloured = RESET if self._coloured else "", False
        return reset


def harmless(data: bytes) -> bytes:
    """The whole of a text, for a terminal."""
    stream = Filter()
    return stream.feed(data) + stream.end()


def redrawn(text: str) -> bytes:
    """A line of our own that replaces the one at the cursor and is replaced by the next."""
    return b"\r" + harmless(text.encode()) + b"\x1b[K\r"


def visible(text: str) -> str:
    """Text on one line: whatever is not printable is escaped, colours too."""
    return text if text.isprintable() else "".join(c if c.isprintable() else escaped(c) for c in text)


def shown(value: str) -> str:
    """`value` in quotes, control characters escaped and cut at 80 characters: safe in any message or log line."""
    return f'"{visible(value if len(value) <= 80 else value[:80] + "…")}"'


def escaped(character: str) -> str:
    """A character as an escape; from DEL on as one that JSON knows, too."""
    code = ord(character)
    if code < 0x7F:
        return repr(character)[1:-1]
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
