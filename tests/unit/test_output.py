"""What a build prints: whole lines, indented, and no more than the limit of what programs say."""

from builder.output import LONGEST_LINE, Output


def test_steps_stand_behind_an_arrow_and_details_below_them():
    lines = []
    output = Output(lines.append, 1000)
    output.step("Python app detected")
    output.detail("Using cached dependencies")
    assert lines == [b"-----> Python app detected\n", b"       Using cached dependencies\n"]


def test_a_programs_output_comes_as_whole_lines_however_it_was_cut():
    lines = []
    output = Output(lines.append, 1000)
    for piece in (b"one\ntw", b"o\n", b"thr", b"ee"):
        output.program(piece)
    assert lines == [b"       one\n", b"       two\n"]
    output.end_program()
    assert lines[2:] == [b"       three\n"]
    output.end_program()
    assert len(lines) == 3


def test_of_a_line_that_was_written_over_its_last_state_is_kept():
    lines = []
    Output(lines.append, 1000).program(b"10%\r50%\r100%\nwindows\r\n")
    assert lines == [b"       100%\n", b"       windows\n"]


def test_a_line_without_an_end_is_not_held_back_for_ever():
    lines = []
    output = Output(lines.append, 10 * LONGEST_LINE)
    for _ in range(3):
        output.program(b"x" * LONGEST_LINE)
    assert [len(line) for line in lines] == [LONGEST_LINE + 8] * 3


def test_beyond_the_limit_one_sentence_stands_for_all_the_rest_and_our_own_lines_go_on():
    lines = []
    output = Output(lines.append, 20)
    output.program(b"0123456789\n" * 100)
    output.program(b"more\n")
    output.step("Discovering process types")
    assert lines == [
        b"       0123456789\n",
        b"       The output went beyond 20 bytes; the build goes on, the rest is not kept.\n",
        b"-----> Discovering process types\n",
    ]
