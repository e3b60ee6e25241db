"""What the local `pushlog` command and the platform say to each other over the Unix socket.

The client sends one line of JSON, its `Hello`. Then both sides send frames: one byte channel, four bytes
length (big-endian), that many bytes. The client's are STDIN, an empty one being the end of its input; the
platform's are STDOUT, STDERR and, last, EXIT with the exit code as decimal text.
This module imports next to nothing, because the `pushlog` command starts with it.
"""

import json
import struct
from dataclasses import asdict, dataclass, field
from typing import BinaryIO

STDIN, STDOUT, STDERR, EXIT = range(4)
MAX_FRAME = 1 << 20
MAX_HELLO = 1 << 16
MAX_COLUMNS = (1 << 16) - 1
_HEAD = struct.Struct(">BI")


class BadFrame(ValueError):
    """The other side does not speak this protocol, or was cut off inside a frame."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A command line, who typed it (the operating system's user name), and the terminal's width if there is one.

    `passphrase` is beside the words, which are kept and shown.
    """

    argv: list[str]
    user: str = ""
    tty: bool = False
    columns: int = 80
    passphrase: str | None = field(default=None, repr=False)


def hello_line(hello: Hello) -> bytes:
    """The line that opens a connection."""
    return json.dumps(asdict(hello)).encode() + b"\n"


def read_hello(stream: BinaryIO) -> Hello:
    """The line that a client opened with. Raises BadFrame for anything else."""
    line = stream.readline(MAX_HELLO + 1)
    try:
        if not line.endswith(b"\n"):
            raise ValueError("not one line")
        hello = Hello(**json.loads(line))
        words = [*hello.argv, hello.user, "" if hello.passphrase is None else hello.passphrase]
        if not isinstance(hello.argv, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("a field of another type")
        if type(hello.tty) is not bool or type(hello.columns) is not int or not 0 < hello.columns <= MAX_COLUMNS:
            raise ValueError("no terminal's width")
        (hello.passphrase or "").encode()  # half of a character is none
    except (ValueError, TypeError, RecursionError) as error:
        raise BadFrame(f"not the line that the pushlog command begins with: {error}") from None
    return hello


def encode(channel: int, data: bytes) -> bytes:
    """`data` as frames on `channel`: one, or as many as MAX_FRAME asks for."""
    if len(data) <= MAX_FRAME:
        return _HEAD.pack(channel, len(data)) + data
    return b"".join(encode(channel, data[at : at + MAX_FRAME]) for at in range(0, len(data), MAX_FRAME))


def read_frame(stream: BinaryIO) -> tuple[int, bytes] | None:
    """The next frame as (channel, data), or None at the end of the stream.

    `stream` is buffered (`socket.makefile("rb")`). Raises BadFrame for one that is cut off or too long.
    """
    head = stream.read(_HEAD.size)
    if not head:
        return None
    if len(head) < _HEAD.size:
        raise BadFrame("the connection ended inside a frame")
    channel, length = _HEAD.unpack(head)
    if channel > EXIT or length > MAX_FRAME:
        raise BadFrame(f"a frame of {length} bytes on channel {channel}")
    data = stream.read(length)
    if len(data) < length:
        raise BadFrame("the connection ended inside a frame")
    return channel, data
