"""What a terminal driver does for a person at a keyboard, where there is none: SSH clients send raw keys with a tty."""

from dataclasses import dataclass, field

ENTER = b"\r\n"
ERASE = b"\x7f\x08"
INTERRUPT = 0x03
END = 0x04
LONGEST_LINE = 4096


@dataclass(slots=True)
class Keyboard:
    """Makes lines of raw keys: Enter ends a line, Backspace takes a key back, Ctrl-D ends the input, Ctrl-C all."""

    line: bytearray = field(default_factory=bytearray)
    ended: bool = False
    interrupted: bool = False

    def press(self, keys: bytes) -> tuple[bytes, bytes]:
        """Take `keys`; returns (whole lines to read, what to echo)."""
        lines, echo = bytearray(), bytearray()
        for key in keys:
            if self.ended or self.interrupted:
                break
            if key in ENTER:
                lines += self.line + b"\n"
                echo += b"\r\n"
                self.line.clear()
            elif key in ERASE:
                echo += b"\b \b" if self.line else b""
                del self.line[-1:]
            elif key == INTERRUPT:
                echo += b"^C\r\n"
                self.interrupted = True
            elif key == END:
                self.ended = not self.line
            elif len(self.line) < LONGEST_LINE:
                self.line.append(key)
                echo.append(key)
        return bytes(lines), bytes(echo)
