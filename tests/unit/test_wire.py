"""The framing that the local command and the platform share."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import wire
from services.wire import BadFrame, Hello


@given(st.lists(st.tuples(st.integers(0, 3), st.binary())))
def test_frames_come_back_as_they_were_sent(frames: list[tuple[int, bytes]]) -> None:
    stream = BytesIO(b"".join(wire.encode(channel, data) for channel, data in frames))
    assert list(iter(lambda: wire.read_frame(stream), None)) == frames


def test_data_beyond_one_frame_is_sent_in_several() -> None:
    data = bytes(range(256)) * (wire.MAX_FRAME // 256) + b"more"
    stream = BytesIO(wire.encode(wire.STDOUT, data))
    got = list(iter(lambda: wire.read_frame(stream), None))
    assert len(got) == 2
    assert b"".join(part for _, part in got) == data


@pytest.mark.parametrize("raw", [b"\x00", b"\x00\x00\x00\x00\x05abc", b"\x09\x00\x00\x00\x00", b"\x01\xff\xff\xff\xff"])
def test_a_frame_that_is_cut_off_or_impossible_is_refused(raw: bytes) -> None:
    with pytest.raises(BadFrame):
        wire.read_frame(BytesIO(raw))


def test_a_hello_comes_back_as_it_was_sent() -> None:
    hello = Hello(["config:set", "x", "A=ü\n"], user="ann", tty=True, columns=132)
    assert wire.read_hello(BytesIO(wire.hello_line(hello))) == hello


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"{}\n",
        b"[]\n",
        b"nonsense\n",
        b'{"argv": "x"}\n',
        b'{"argv": [1]}\n',
        b'{"argv": ["x"], "tty": 1}\n',
        b'{"argv": ["x"], "more": 1}\n',
        b'{"argv": ["x"], "columns": 0}\n',
        b'{"argv": ["x"], "columns": 1e3}\n',
        b'{"argv": ["x"], "columns": 1' + b"0" * 4000 + b"}\n",
        b'{"argv": ["x"], "passphrase": "\\ud800"}\n',
        b'{"argv": {"x": 1}}\n',
        b'{"argv": ' + b"[" * 20_000 + b"]" * 20_000 + b"}\n",
        b'{"argv": ["' + b"x" * wire.MAX_HELLO + b'"]}\n',
    ],
)
def test_a_line_that_is_no_hello_is_refused(line: bytes) -> None:
    with pytest.raises(BadFrame):
        wire.read_hello(BytesIO(line))
