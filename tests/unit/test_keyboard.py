"""Lines from raw keys."""

from gitreceiver.ssh.keyboard import LONGEST_LINE, Keyboard


def test_enter_ends_a_line_and_keys_are_echoed() -> None:
    assert Keyboard().press(b"hello\r") == (b"hello\n", b"hello\r\n")


def test_backspace_takes_back_one_key_and_no_more_than_there_are() -> None:
    assert Keyboard().press(b"ab\x7f\x7f\x7fc\r") == (b"c\n", b"ab\b \b\b \bc\r\n")


def test_a_line_may_come_in_pieces() -> None:
    keyboard = Keyboard()
    assert keyboard.press(b"he")[0] == b""
    assert keyboard.press(b"llo\r")[0] == b"hello\n"


def test_ctrl_d_ends_the_input_only_at_the_start_of_a_line() -> None:
    keyboard = Keyboard()
    keyboard.press(b"a\x04")
    assert not keyboard.ended
    keyboard.press(b"\r\x04")
    assert keyboard.ended


def test_ctrl_c_interrupts_and_nothing_after_it_is_read() -> None:
    keyboard = Keyboard()
    assert keyboard.press(b"a\x03b\r") == (b"", b"a^C\r\n")
    assert keyboard.interrupted


def test_a_line_without_end_takes_no_more_memory() -> None:
    keyboard = Keyboard()
    keyboard.press(b"x" * (2 * LONGEST_LINE))
    assert len(keyboard.line) == LONGEST_LINE
