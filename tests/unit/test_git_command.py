"""Which repository a git client asks for."""

import pytest

from gitreceiver.git.command import parse_git_command
from services.errors import BadInput
from services.names import app_name


@pytest.mark.parametrize("path", ["hello", "/hello", "~/hello", "hello.git", "/hello.git"])
def test_the_decoration_of_a_url_is_not_part_of_the_name(path: str) -> None:
    assert parse_git_command(["git-receive-pack", path]) == ("git-receive-pack", "hello")


def test_the_two_word_form_is_the_same_command() -> None:
    assert parse_git_command(["git", "upload-pack", "a.b"]) == ("git-upload-pack", "a.b")


@pytest.mark.parametrize("argv", [["apps:list"], ["git"], ["git", "status"], ["git:set", "x"], ["git-shell", "x"]])
def test_other_commands_are_none_of_gits(argv: list[str]) -> None:
    assert parse_git_command(argv) is None


@pytest.mark.parametrize(
    "operands",
    [
        [],
        ["a", "b"],
        ["--exec=id", "app"],
        ["--", "-h"],
        ["--help"],
        ["--all"],
        ["-rf"],
        ["."],
        [".."],
        ["a..b"],
        ["app;id"],
        ["app`id`"],
        ["app$(id)"],
        ["app&"],
        ["app|x"],
        ["app\nid"],
        ["app\n"],
        ["//hello"],
        ["~//hello"],
        ["/~/hello"],
        ["hello/"],
        ["a/hello"],
        ["../hello"],
        ["hello.git.git"],
        [".git"],
        ["Hello"],
        [""],
        ["/"],
    ],
)
def test_anything_but_one_operand_that_names_an_app_is_refused(operands: list[str]) -> None:
    with pytest.raises(BadInput):
        parse_git_command(["git-receive-pack", *operands])


def test_no_app_can_be_called_what_git_would_take_for_another() -> None:
    with pytest.raises(BadInput, match=r"not ending in '\.git'"):
        app_name("hello.git")
