"""The table as a whole: names, help, masking, and how values become text."""

import json
import shlex
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import calls, client
from cli.commands.log import NO_APP, changes
from cli.dispatch import masked, run
from cli.render import aligned, json_lines, text_lines
from cli.table import ALIASES, COMMANDS, find, nouns
from cli.values import Listing, Pairs, Reports
from services.settings import default_home
from services.version import VERSION
from tests.unit.fake_context import FakeContext

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
words = st.text(st.characters(codec="utf-8"), max_size=12)
cells = st.lists(st.tuples(words, words, words), max_size=5)


def output(*argv: str) -> tuple[int, str, str]:
    context = FakeContext()
    code = run(context, argv)
    return code, context.out.decode(), context.err.decode()


def test_every_command_of_this_version_is_there() -> None:
    assert set(COMMANDS) == {
        "apps:create",
        "apps:list",
        "apps:destroy",
        "apps:exists",
        "config:show",
        "config:set",
        "config:unset",
        "config:get",
        "domains:add",
        "domains:remove",
        "domains:report",
        "ps:scale",
        "ps:report",
        "logs",
        "log:undo",
        "builds:list",
        "builds:output",
        "cleanup",
        "doctor:disk",
        "releases",
        "releases:info",
        "rollback",
        "backup:export",
        "backup:import",
        "backup:verify",
        "ssh-keys:add",
        "ssh-keys:list",
        "ssh-keys:remove",
        "events",
        "log:blame",
        "log:diff",
        "log:replay",
        "log:verify",
        "log:rekey",
        "url",
        "version",
        "help",
    }


def test_every_command_that_a_service_owns_names_a_permission_and_every_one_that_records_more_than_read() -> None:
    services = {"configsvc", "deployer", "builder", "gitreceiver"}
    assert all(command.owner in services for command in COMMANDS.values() if command.needs != "nothing")
    assert all(command.needs in ("write", "admin") for command in COMMANDS.values() if command.records)
    assert {name for name, command in COMMANDS.items() if command.needs == "nothing"} == {"help", "version"}


def test_every_list_and_report_takes_format_json() -> None:
    for name, command in COMMANDS.items():
        if name.partition(":")[2] in ("list", "report", "show") or name in ("releases", "events", "logs", "ps:scale"):
            assert command.json, name


@pytest.mark.parametrize(
    ("alias", "name"), [("config", "config:show"), ("apps", "apps:list"), ("delete", "apps:destroy")]
)
def test_old_names_work(alias: str, name: str) -> None:
    assert find(alias) is COMMANDS[name]


@pytest.mark.parametrize("noun", nouns())
def test_a_noun_has_one_help_however_it_is_asked_for(noun: str) -> None:
    asked = [output(f"{noun}:help"), output(noun, "--help"), output("help", noun), output("help", f"{noun}:help")]
    assert asked == asked[:1] * 4
    code, text, talk = asked[0]
    assert (code, talk) == (0, "")
    assert all(name in text for name, command in COMMANDS.items() if command.noun == noun)


@pytest.mark.parametrize("noun", ["apps", "config", "domains", "ps", "builds", "ssh-keys", "logs", "releases", "url"])
def test_a_noun_alone_prints_its_help(noun: str) -> None:
    assert output(noun) == output("help", noun)


def test_help_all_shows_every_command_with_its_flags() -> None:
    _, everything, _ = output("help", "--all")
    assert all(name in everything for name in COMMANDS)
    assert "config:set [--encoded] [--no-restart] <app> <KEY=VALUE>..." in everything
    assert output() == output("help") == output("--help")


def test_a_commands_own_help_is_about_it_alone() -> None:
    code, text, _ = output("apps:destroy", "hello", "--help")
    assert code == 0
    assert "apps:destroy [--now] [--force] <app>" in text
    assert "apps:create" not in text


@pytest.mark.parametrize(
    ("typed", "close"),
    [("app:list", "Did you mean apps:list?"), ("confg", "Did you mean config?"), ("#", "See: pushlog help")],
)
def test_an_unknown_command_is_named_with_a_close_one(typed: str, close: str) -> None:
    assert output(typed) == (1, "", f" !     `{typed}` is not a command.\n !     {close}\n")


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "x" * 100_000, "a\nb", "git-receive-pack", "up"])
def test_an_odd_command_is_shown_harmlessly(name: str) -> None:
    code, _, talk = output(name)
    assert code == 1
    assert len(talk) < 300
    assert all(line.startswith(" !     ") and line.isprintable() for line in talk.splitlines())


@pytest.mark.parametrize(
    "argv",
    [
        ["apps:create"],
        ["apps:create", "a", "b"],
        ["apps:create", "A"],
        ["apps:create", "a..b"],
        ["apps:create", "a\0"],
        ["apps:create", "\udcff"],
        ["apps:create", "--", "-rf"],
        ["apps:list", "--format", "yaml"],
        ["apps:list", "--nope"],
        ["--app"],
        ["--nope", "apps:list"],
        ["ps:report", "a", "b"],
        ["help", "nope"],
        [""],
    ],
)
def test_a_wrong_line_is_one_sentence(argv: list[str]) -> None:
    code, out, talk = output(*argv)
    assert (code, out) == (1, "")
    assert talk.startswith(" !     ")
    assert ";" in talk or "is not a command" in talk


# masking


def test_secret_values_are_masked_in_the_line_that_is_kept() -> None:
    argv = ["--app", "hello", "config:set", "--no-restart", "DB=s3cret", "EMPTY=", "A=b=c"]
    assert masked(argv) == "config:set hello --no-restart DB=*** EMPTY=*** A=***"


def test_other_lines_are_kept_as_typed() -> None:
    assert masked(["--quiet", "domains:add", "hello", "a b", "x\ny"]) == r"domains:add hello 'a b' 'x\ny'"


@pytest.mark.parametrize(
    ("argv", "kept"),
    [
        (["confg:set", "hello", "DB=s3cret"], "confg:set ***"),
        (["config:set", "HELLO", "DB=s3cret"], "config:set ***"),
        (["config:set", "hello", "--nope", "DB=s3cret"], "config:set ***"),
        (["--nope", "config:set", "DB=s3cret"], "***"),
        (["config:set", "hello", "s3cret"], "config:set hello ***"),
        (["config:set", "hello", "DB", "s3cret=="], "config:set hello *** ***"),
        (["config:unset", "hello", "DB=s3cret", "OTHER"], "config:unset hello DB=*** OTHER"),
        (["config:get", "hello", "DB=s3cret"], "config:get hello DB=***"),
        (["DB=s3cret", "config:set", "hello"], "***"),
        ([], "help"),
        (["nope"], "nope"),
    ],
)
def test_what_is_not_understood_is_masked(argv: list[str], kept: str) -> None:
    assert masked(argv) == kept


@given(
    st.lists(st.text("ABC", min_size=1, max_size=3), min_size=1, unique=True),
    st.text("\t !$=\\'\"-0123456789", min_size=1),
)
def test_no_value_survives_masking(keys: list[str], value: str) -> None:
    line = masked(["config:set", "hello", *(f"{key}={value}" for key in keys)])
    assert shlex.split(line) == ["config:set", "hello", *(f"{key}=***" for key in keys)]


# text and JSON


@given(cells)
def test_a_listing_is_one_harmless_line_for_each_row(rows: list[tuple[str, str, str]]) -> None:
    listing = Listing("t", [dict(zip("abc", row, strict=True)) for row in rows], {"a": "{}", "b": "v{}", "c": "{}"})
    lines = list(text_lines(listing, FakeContext()))
    assert len(lines) == len(rows)
    assert all(line.isprintable() for line in lines)
    assert json.loads("".join(json_lines(listing))) == listing.rows


@given(st.lists(st.lists(st.text("abc", min_size=1, max_size=9), min_size=3, max_size=3), min_size=1))
def test_columns_begin_at_the_same_place(rows: list[list[str]]) -> None:
    lines = aligned(rows)
    for column in range(3):
        starts = {sum(max(len(row[n]) for row in rows) + 2 for n in range(column)) for _ in rows}
        assert all(line[at:].startswith(row[column]) for line, row in zip(lines, rows, strict=True) for at in starts)


@given(st.dictionaries(st.text("ABC_", min_size=1, max_size=40), words))
def test_pairs_are_sorted_and_one_line_each(pairs: dict[str, str]) -> None:
    lines = list(text_lines(Pairs("t", pairs), FakeContext()))
    assert [line.partition(":")[0] for line in lines] == sorted(pairs)


@given(st.dictionaries(st.text("abcde", min_size=1, max_size=40), words))
def test_a_reports_values_begin_in_one_column(rows: dict[str, str]) -> None:
    lines = list(text_lines(Reports("ps", {"hello": rows}), FakeContext()))
    assert len(lines) == len(rows)
    assert all(line.startswith("       ") and line[7].isupper() for line in lines)
    assert json.loads(next(iter(json_lines(Reports("ps", {"hello": rows})))))["app"] == "hello" or "app" in rows


def test_both_moments_of_a_difference_fit_a_terminal_and_json_has_them_whole() -> None:
    old = {**NO_APP, "app": "a" * 36, "image": "sha256:" + "1" * 64, "commit": "2" * 40}
    new = {**old, "image": "sha256:" + "3" * 64, "commit": "4" * 40}
    listing = Listing(
        "t", changes("hello", {"hello": old}, {"hello": new}), dict.fromkeys(["setting", "before", "after"], "{}")
    )
    assert list(text_lines(listing, FakeContext())) == [
        "image   111111111111  333333333333",
        "commit  22222222      44444444",
    ]
    assert [row["after"] for row in json.loads(next(iter(json_lines(listing))))] == [new["image"], new["commit"]]


def test_whose_doing_a_setting_is_fits_a_terminal_and_json_has_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "setting": "config A",
        "is": "there",
        "position": 7,
        "type": "config.changed",
        "when": "2026-01-02T03:04:05.6Z",
    }
    told = row | {"by": "anna SHA256:" + "x" * 43, "command": "config:set hello A=***"}
    monkeypatch.setattr(FakeContext, "_configsvc_blame", lambda self, name, key: [told], raising=False)
    context = FakeContext(tty=True, columns=80)
    run(context, ["log:blame", "hello", "--quiet"])
    assert context.out == b"config A  there  7  2026-01-02T03:04:05  anna  config:set hello A=***\n"
    context = FakeContext()
    run(context, ["log:blame", "hello", "--format", "json"])
    assert json.loads(context.out) == [told]


def test_a_terminals_width_cuts_a_listing() -> None:
    listing = Listing("t", [{"a": "x" * 200}], {"a": "{}"})
    assert list(text_lines(listing, FakeContext(tty=True, columns=40))) == ["=====> t", "x" * 40]


# what is written down twice


def test_the_version_is_the_projects() -> None:
    assert PROJECT["project"]["version"] == VERSION


def test_the_client_knows_the_table_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = {name for name, command in COMMANDS.items() if command.reads_stdin}
    assert set(calls.READS_STDIN) == reading | {alias for alias, name in ALIASES.items() if name in reading}
    monkeypatch.delenv("PUSHLOG_HOME", raising=False)
    assert client.home() == default_home()
