"""A command line's words, and a session on wires that stop."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitreceiver.session import LINE_LIMIT, Disconnected, Session, split_line
from services.errors import BadInput, NoSuchApp


class Wire:
    """A wire whose client sent `chunks`; the contract of session.Wire in memory."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.closed = False
        self.sent: list[tuple[bytes, bool]] = []
        self.codes: list[int] = []

    def read(self, limit: int, patience: float | None = None) -> bytes:
        if patience and not self.chunks:
            raise TimeoutError
        chunk = self.chunks.pop(0) if self.chunks else b""
        if len(chunk) > limit:
            self.chunks.insert(0, chunk[limit:])
        return chunk[:limit]

    def write(self, data: bytes, *, error: bool) -> None:
        self.sent.append((data, error))

    def exit(self, code: int) -> None:
        self.codes.append(code)


def session(wire: Wire) -> Session:
    return Session(wire, ["x"], "x", "dokku", "laptop SHA256:x", "1.2.3.4:5")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("apps:list", ["apps:list"]),
        ("config:set hello 'A=b c' \"D=e'f\"", ["config:set", "hello", "A=b c", "D=e'f"]),
        ("git-receive-pack 'hello'", ["git-receive-pack", "hello"]),
        ("git-receive-pack app;id", ["git-receive-pack", "app;id"]),
        ("git-receive-pack app\nid", ["git-receive-pack", "app", "id"]),
        ("run hello echo '$(id)' `id` | cat", ["run", "hello", "echo", "$(id)", "`id`", "|", "cat"]),
        ("config:set hello A=", ["config:set", "hello", "A="]),
        ("x ''", ["x", ""]),
        ("x # no comment", ["x", "#", "no", "comment"]),
        ("grüße".encode(), ["grüße"]),
    ],
)
def test_a_line_is_split_as_a_posix_shell_would_and_nothing_in_it_is_run(line: str, words: list[str]) -> None:
    assert split_line(line) == words


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty"),
        ("   \t ", "empty"),
        ("x 'y", "no closing quotation"),
        ('x "y', "no closing quotation"),
        ("x \\", "no escaped character"),
        ("x\0y", "NUL"),
        (b"x \xff", "not UTF-8"),
        ("x \udcff", "not UTF-8"),
        ("x" * (LINE_LIMIT + 1), f"{LINE_LIMIT + 1} bytes"),
        ("ü" * (LINE_LIMIT // 2 + 1), "bytes long"),
    ],
)
def test_a_line_that_is_no_command_is_refused_with_its_reason(line: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        split_line(line)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=20))
def test_words_that_were_quoted_come_back_as_they_were(words: list[str]) -> None:
    assert split_line(shlex.join(words)) == words


def test_all_of_the_input_is_read_up_to_a_limit() -> None:
    assert session(Wire(b"ab", b"cd")).read_all(4) == b"abcd"
    with pytest.raises(BadInput, match="longer than 3 bytes"):
        session(Wire(b"ab", b"cd")).read_all(3)


def test_input_that_stops_ends_the_session_and_is_not_taken_for_the_whole_of_it() -> None:
    wire = Wire(b"half of ")
    waiting = session(wire)
    waiting.patience = 60.0
    with pytest.raises(Disconnected):
        waiting.read_all(100)
    assert wire.sent == [(b" !     input: no byte came for 60 seconds; send it again\n", True)]
    assert wire.codes == [1]


def test_an_error_is_shown_as_its_sentence_and_ends_with_its_exit_code() -> None:
    wire = Wire()
    session(wire).fail(NoSuchApp.named("hello"))
    assert wire.sent == [(b" !     App hello does not exist\n", True)]
    assert wire.codes == [20]


def test_an_errors_lines_are_each_marked_and_harmless() -> None:
    wire = Wire()
    session(wire).fail(BadInput("one\x1b]0;t\x07\n-----> two"))
    assert wire.sent == [(b" !     one\\x1b]0;t\\x07\n !     -----> two\n", True)]


@pytest.mark.parametrize(
    ("tty", "piped", "exact", "as_it_is"),
    [
        (False, True, False, True),  # the local command, its output in a file
        (False, False, True, True),  # config:get over SSH
        (False, False, False, False),  # logs over SSH: who knows
        (True, False, True, False),
        (True, False, False, False),
    ],
)
def test_text_is_harmless_where_it_may_meet_a_terminal(tty: bool, piped: bool, exact: bool, as_it_is: bool) -> None:
    wire = Wire()
    shown = session(wire)
    shown.tty, shown.piped = tty, piped
    shown.show(b"\x1b[32mgreen\x1b]0;ti", exact=exact)
    shown.show(b"tle\x07\n", exact=exact)
    sent = b"".join(data for data, _ in wire.sent)
    assert sent == (b"\x1b[32mgreen\x1b]0;title\x07\n" if as_it_is else b"\x1b[32mgreen\\x1b]0;title\\x07\x1b[0m\n")


def test_what_is_said_is_harmless_in_any_case_and_its_colour_ends_with_the_session() -> None:
    wire = Wire()
    told = session(wire)
    told.piped = True
    told.write_err(b"\x1b[31mred \x1b[2")
    told.exit(0)
    assert b"".join(data for data, _ in wire.sent) == b"\x1b[31mred \\x1b[2\x1b[0m"


def test_what_a_program_reads_is_sent_as_it_is() -> None:
    wire = Wire()
    session(wire).write(b"PACK\x1b\xff")
    assert wire.sent == [(b"PACK\x1b\xff", False)]


def test_an_unexpected_error_shows_no_detail() -> None:
    wire = Wire()
    session(wire).fail(RuntimeError("a secret"))
    assert b"secret" not in wire.sent[0][0]
    assert wire.codes == [1]


def test_only_the_first_exit_code_counts_and_nothing_is_written_after_it() -> None:
    wire = Wire()
    ended = session(wire)
    ended.exit(3)
    ended.exit(0)
    assert wire.codes == [3]
    with pytest.raises(Disconnected):
        ended.write(b"more")


def test_writing_to_a_client_that_is_gone_raises_disconnected() -> None:
    wire = Wire()
    wire.closed = True
    with pytest.raises(Disconnected):
        session(wire).write(b"x")
