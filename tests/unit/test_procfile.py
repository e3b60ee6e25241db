"""The Procfile's grammar: what is read, and which line refuses the whole file."""

import pytest

from builder.errors import BuildRefused
from builder.procfile import parse


def test_processes_are_read_in_the_files_order():
    assert list(parse(b"web: gunicorn app:app\nworker: python work.py --x=1:2\n").items()) == [
        ("web", "gunicorn app:app"),
        ("worker", "python work.py --x=1:2"),
    ]


def test_comments_blank_lines_and_windows_line_ends_are_no_processes():
    assert parse(b"# what runs\r\n\r\n  # indented\nweb: run # this belongs to the shell\r\n") == {
        "web": "run # this belongs to the shell"
    }


def test_a_command_is_kept_as_it_stands_for_the_containers_shell():
    assert parse(b"web:  $(id); rm `x` | tee \\ \xc3\xa9 \n") == {"web": "$(id); rm `x` | tee \\ é"}


@pytest.mark.parametrize("type", ["web;id", "../x", "x" * 200, "we b", "", "wéb", "web\x00", "\ufeffweb", "web\u2028"])
def test_a_bad_process_type_refuses_the_file_and_names_the_line(type):
    with pytest.raises(BuildRefused, match=r"^Procfile:3: .*; allowed is `type: command`"):
        parse(f"# one\nworker: run\n{type}: run\n".encode())


@pytest.mark.parametrize("line", ["web", "web run", "just words"])
def test_a_line_without_a_colon_refuses_the_file(line):
    with pytest.raises(BuildRefused, match=r"^Procfile:1: "):
        parse(line.encode())


def test_a_type_without_a_command_refuses_the_file():
    with pytest.raises(BuildRefused, match=r"^Procfile:2: web has no command"):
        parse(b"worker: x\nweb:  \n")


@pytest.mark.parametrize("twin", ["web", "Web", "WEB"])
def test_a_type_that_stands_there_twice_or_twice_but_for_its_case_refuses_the_file(twin):
    with pytest.raises(BuildRefused, match=rf"^Procfile:3: {twin} stands in line 1 already"):
        parse(f"web: a\n\n{twin}: b\n".encode())


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# web: run\n"])
def test_a_file_without_a_process_is_refused_with_an_example(data):
    with pytest.raises(BuildRefused, match="add a line such as `web: gunicorn app:app`"):
        parse(data)


def test_text_that_is_not_utf8_is_refused_by_its_line():
    with pytest.raises(BuildRefused, match=r"^Procfile:2: this is not UTF-8"):
        parse(b"web: run\nworker: \xff\n")


def test_a_control_character_in_a_command_is_refused_and_shown_escaped():
    with pytest.raises(BuildRefused, match=r"^Procfile:1: .*\\x1b.* holds a control character"):
        parse(b"web: run \x1b[2J\n")
