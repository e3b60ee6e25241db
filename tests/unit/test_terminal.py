"""Text from outside on its way to a terminal."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.terminal import Filter, harmless, redrawn, visible

HARMLESS = re.compile(
    r"(?:\x1b\[[0-9;]{0,32}m|\n|\t|[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f])*"
)
PIECES = [b"\x1b", b"[", b"]0;", b"]52;c;", b"P", b"_", b"^", b"N", b"O", b"31", b";", b"m", b"m", b"K", b"2J", b"?25l"]
PIECES += [
    b"\x07",
    b"\x1b\\",
    b"\r",
    b"\n",
    b"\b",
    b"\x7f",
    b"\0",
    b"\x9b",
    b"\xc2\x9b",
    b"\xc2",
    b"\xff",
    b"\xe2\x80\xae",
]
PIECES += ["é€😀".encode(), b"text", b"1" * 40, b"\x1b[31m", b"\x1b[0m", b"\xe2\x80\xa8"]
foreign = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))


def fed(parts: list[bytes]) -> list[bytes]:
    stream = Filter()
    return [*(stream.feed(part) for part in parts), stream.end()]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(n, len(data)) for n in at), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(foreign, st.lists(st.integers(0, 200), max_size=12))
@example(b"\x1b]0;title\x07", [1])
def test_however_it_is_cut_each_part_is_text_line_ends_and_colours_and_they_come_to_the_same(
    data: bytes, at: list[int]
) -> None:
    parts = fed(cut(data, at))
    for part in parts:
        assert HARMLESS.fullmatch(part.decode())
    assert b"".join(parts) == harmless(data)


@given(foreign)
def test_what_is_harmless_stays_as_it_is(data: bytes) -> None:
    assert harmless(harmless(data)) == harmless(data)


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]) | st.sampled_from("\n\t\u200d")))
def test_plain_text_passes_unchanged(text: str) -> None:
    assert harmless(text.encode()).decode() == text


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\x1b[1;31mred\x1b[0m and \x1b[38;5;10mgreen\x1b[m", "\x1b[1;31mred\x1b[0m and \x1b[38;5;10mgreen\x1b[m"),
        (b"\x1b[31mleft on\nnext", "\x1b[31mleft on\x1b[0m\nnext"),
        (b"\x1b[31mleft on", "\x1b[31mleft on\x1b[0m"),
        (b"\x1b[38;5;0mblack", "\x1b[38;5;0mblack\x1b[0m"),
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (b"\x1b]52;c;aGk=\x1b\\", r"\x1b]52;c;aGk=\x1b" + "\\"),
        (b"\x1b[2J\x1b[?25l\x1b[1A", r"\x1b[2J\x1b[?25l\x1b[1A"),
        (b"\x1b[>4;1m \x1b[4:3m", r"\x1b[>4;1m \x1b[4:3m"),
        (b"\x1b[" + b"1" * 33 + b"m", r"\x1b[" + "1" * 33 + "m"),
        (b"\x1bP\x1b_\x1b^\x1bN\x1bc", r"\x1bP\x1b_\x1b^\x1bN\x1bc"),
        ("\u009b2J\u202e\u2028".encode(), r"\u009b2J\u202e\u2028"),
        (b"\x9b2J \xff", r"\x9b2J \xff"),
        (b"10%\r20%\r\nwindows\r\n", "10%\\r20%\nwindows\n"),
        (b"bell\x07 back\bspace \x7f \x0b\x0c", r"bell\x07 back\x08space \u007f \x0b\x0c"),
        (b"half\x1b[3", r"half\x1b[3"),
    ],
)
def test_colours_pass_and_what_else_a_terminal_acts_on_is_shown(data: bytes, shown: str) -> None:
    assert harmless(data).decode() == shown


def test_a_line_that_is_redrawn_holds_nothing_else_of_a_terminal() -> None:
    assert redrawn("5 \x1b[2J MiB") == b"\r5 \\x1b[2J MiB\x1b[K\r"


@pytest.mark.parametrize(
    ("text", "shown"), [("grün", "grün"), ("a\n\x1b[31m\u202e\udcff\U000e0001", r"a\n\x1b[31m\u202e\udcff\U000e0001")]
)
def test_a_line_shows_whatever_is_not_printable(text: str, shown: str) -> None:
    assert visible(text) == shown
