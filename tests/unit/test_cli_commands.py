"""What each command asks of the services, what it prints, and what it ends with."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.commands.logs import MAX_LINES
from cli.dispatch import run
from cli.values import Wanted
from services.errors import PushlogError, Unavailable
from tests.unit.fake_context import FakeContext

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICe3yH1tnhbyLOsyMRP9Dv0bzSrW8UJ5pcSkjpWVyFMd me@host"


@pytest.fixture
def ctx() -> FakeContext:
    """A platform with the app `hello`, deployed once."""
    context = FakeContext()
    context.call("configsvc", "create_app", name="hello")
    context.apps["hello"]["release"] = 1
    context.calls.clear()
    return context


def said(ctx: FakeContext, *argv: str, code: int = 0) -> str:
    """Run a command; its stdout."""
    ctx.out = ctx.err = b""
    assert run(ctx, argv) == code, ctx.err
    return ctx.out.decode()


def refused(ctx: FakeContext, *argv: str, code: int = 1) -> str:
    """Run a command that ends with `code`; its one sentence, without the mark, and nothing on stdout."""
    assert said(ctx, *argv, code=code) == ""
    sentence = ctx.err.decode()
    assert sentence.startswith(" !     ")
    assert "Traceback" not in sentence
    return sentence.removeprefix(" !     ").removesuffix("\n")


# apps


def test_apps_create_asks_configsvc_and_talks_on_stderr(ctx: FakeContext) -> None:
    assert said(ctx, "apps:create", "blog") == ""
    assert ctx.err == b"-----> Creating blog...\n"
    assert ctx.calls == [("configsvc", "create_app", {"name": "blog"})]


def test_apps_list_prints_names_only_without_a_terminal(ctx: FakeContext) -> None:
    assert said(ctx, "apps:list") == "hello\n"


def test_apps_list_has_a_header_on_a_terminal_and_none_with_quiet(ctx: FakeContext) -> None:
    ctx.tty = True
    assert said(ctx, "apps:list") == "=====> My Apps\nhello\n"
    assert said(ctx, "--quiet", "apps:list") == said(ctx, "apps:list", "--quiet") == "hello\n"


def test_apps_list_as_json_gives_what_the_service_answered(ctx: FakeContext) -> None:
    rows = json.loads(said(ctx, "apps:list", "--format", "json"))
    assert rows == [{"name": "hello", "app": "uuid", "created": "t", "release": 1, "deployed": True}]


def test_apps_exists_is_a_predicate(ctx: FakeContext) -> None:
    assert said(ctx, "apps:exists", "hello") == ""
    assert ctx.err == b""
    assert refused(ctx, "apps:exists", "blog", code=20) == "App blog does not exist"


def test_apps_destroy_reads_the_apps_name_from_stdin(ctx: FakeContext) -> None:
    ctx.stdin = b"hello\n"
    said(ctx, "apps:destroy", "hello")
    assert ctx.err == b"-----> Destroyed hello\n       For 24 hours it can be had back: log:undo 17\n"
    assert not ctx.apps


def test_apps_destroy_for_good_says_nothing_of_a_way_back(ctx: FakeContext) -> None:
    said(ctx, "apps:destroy", "hello", "--now", "--force")
    assert ctx.err == b"-----> Destroyed hello\n"
    assert ctx.calls == [("configsvc", "destroy_app", {"name": "hello", "now": True})]


def test_apps_destroy_asks_on_a_terminal(ctx: FakeContext) -> None:
    ctx.tty, ctx.stdin = True, b"hello\r\n"
    said(ctx, "apps:destroy", "hello")
    assert b' !     To proceed, type "hello"\n\n> ' in ctx.err


def test_an_answer_that_ends_without_enter_leaves_the_refusal_a_line_of_its_own(ctx: FakeContext) -> None:
    ctx.tty, ctx.stdin = True, b""
    said(ctx, "apps:destroy", "hello", code=1)
    assert ctx.err.endswith(b"> \n !     Confirmation did not match hello; nothing was done\n")


@pytest.mark.parametrize("answer", [b"", b"\n", b"hell\n", b"hello2\n", b"y\n"])
def test_apps_destroy_does_nothing_on_another_answer(ctx: FakeContext, answer: bytes) -> None:
    ctx.stdin = answer
    assert refused(ctx, "apps:destroy", "hello") == "Confirmation did not match hello; nothing was done"
    assert "hello" in ctx.apps


@pytest.mark.parametrize("argv", [("apps:destroy", "hello", "--force"), ("--force", "delete", "hello")])
def test_force_skips_the_question(ctx: FakeContext, argv: tuple[str, ...]) -> None:
    said(ctx, *argv)
    assert not ctx.apps


def test_destroying_an_unknown_app_ends_with_20_before_anything_is_asked(ctx: FakeContext) -> None:
    assert refused(ctx, "apps:destroy", "blog", code=20) == "App blog does not exist"


# config


def test_config_set_seals_values_before_they_cross_the_bus_and_follows_the_deploy(ctx: FakeContext) -> None:
    assert said(ctx, "config:set", "hello", "DB=s3cret", "NAME=a=b") == ""
    assert ctx.err.decode() == (
        "-----> Setting config vars\n       DB:    s3cret\n       NAME:  a=b\n-----> Deploying\n"
    )
    sealed = {"DB": "sealed:hello:DB:terc3s", "NAME": "sealed:hello:NAME:b=a"}
    assert ctx.calls == [
        ("configsvc", "change_config", {"name": "hello", "set": sealed, "unset": [], "deploy": True}),
    ]


def test_config_set_ends_with_the_deploys_exit_code(ctx: FakeContext) -> None:
    ctx.story = [b" !     it did not come up\n", 1]
    said(ctx, "config:set", "hello", "A=b", code=1)


def test_config_set_says_when_the_deploys_outcome_did_not_arrive(ctx: FakeContext) -> None:
    ctx.story = [b"-----> Deploying\n"]
    said(ctx, "config:set", "hello", "A=b", code=1)
    assert b" !     the outcome did not arrive" in ctx.err


def test_config_set_without_restart_records_only(ctx: FakeContext) -> None:
    said(ctx, "config:set", "--no-restart", "hello", "A=b")
    assert ctx.err.decode().splitlines()[-1] == "       Recorded as v2, not deployed"


def test_config_set_to_what_is_set_says_so(ctx: FakeContext) -> None:
    said(ctx, "config:set", "hello", "A=b")
    said(ctx, "config:set", "hello", "A=b")
    assert ctx.err.decode().splitlines()[-1] == "       Nothing changed by that"


def test_encoded_values_are_decoded(ctx: FakeContext) -> None:
    said(ctx, "config:set", "--encoded", "hello", "A=" + base64.b64encode("zwei\nZeilen ü".encode()).decode())
    assert said(ctx, "config:get", "hello", "A") == "zwei\nZeilen ü\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["hunter2"], "pair 1 has no '='"),
        (["A=1", "hunter2"], "pair 2 has no '='"),
        (["A=1", "A=hunter2"], "A stands twice"),
        (["=hunter2"], '"" is not a key'),
        (["A;B=hunter2"], '"A;B" is not a key'),
        (["1A=hunter2"], '"1A" is not a key'),
        (["A\nB=hunter2"], '"A\\nB" is not a key'),
        (["é=hunter2"], "is not a key"),
        (["X" * 1000 + "=hunter2"], "is not a key"),
        (["PORT=hunter2"], "PORT is set by the platform"),
        (["PUSHLOG_X=hunter2"], "PUSHLOG_X is set by the platform"),
        (["A=hunter2" + "x" * 65536], "allowed are at most 65536"),
        ([f"K{n}=hunter2" for n in range(1001)], "1001 pairs at once"),
        (["--encoded", "A=hunter2!"], "A is not Base64"),
        (["--encoded", "A=" + base64.b64encode(b"hunter2\xff").decode()], "A is not Base64 of UTF-8"),
        (["--encoded", "A=" + base64.b64encode(b"hunter2\0").decode()], "A has a NUL byte"),
        (["--hunter2=1", "A=b"], "no such option"),
    ],
)
def test_config_set_refuses_what_is_no_config_before_any_call(ctx: FakeContext, words: list[str], why: str) -> None:
    sentence = refused(ctx, "config:set", "hello", *words)
    assert why in sentence
    assert "\n" not in sentence
    assert "hunter2" not in sentence or "--hunter2" in words[0]
    assert ctx.calls == []


def test_config_show_is_sorted_and_aligned_and_keeps_to_one_line_each(ctx: FakeContext) -> None:
    ctx.tty = True
    said(ctx, "config:set", "hello", "ZED=1", "A_LONG_KEY=two\nlines\x1b[2J", "EMPTY=")
    shown = "=====> hello env vars\nA_LONG_KEY:  two\\nlines\\x1b[2J\nEMPTY:\nZED:         1\n"
    assert said(ctx, "config:show", "hello") == said(ctx, "config", "hello") == shown
    assert json.loads(said(ctx, "config", "hello", "--format", "json"))["A_LONG_KEY"] == "two\nlines\x1b[2J"


def test_config_get_prints_the_bare_value_or_nothing(ctx: FakeContext) -> None:
    said(ctx, "config:set", "hello", "A=it's")
    assert said(ctx, "config:get", "hello", "A") == "it's\n"
    assert said(ctx, "config:get", "--quoted", "hello", "A") == "'it'\\''s'\n"
    assert said(ctx, "config:get", "hello", "B", code=1) == ""
    assert ctx.err == b""


def test_config_unset_takes_keys_only(ctx: FakeContext) -> None:
    said(ctx, "config:set", "hello", "A=b")
    said(ctx, "config:unset", "hello", "A")
    assert ctx.err.startswith(b"-----> Unsetting A\n")
    assert "hunter2" not in refused(ctx, "config:unset", "hello", "A=hunter2")
    assert "hunter2" not in refused(ctx, "config:get", "hello", "A", "hunter2")


def test_config_of_an_unknown_app_ends_with_20(ctx: FakeContext) -> None:
    assert refused(ctx, "config", "blog", code=20) == "App blog does not exist"


# domains and url


def test_domains_add_and_remove_reach_the_app(ctx: FakeContext) -> None:
    said(ctx, "domains:add", "hello", "a.example.com", "*.example.org")
    assert ctx.err.startswith(b"-----> Added a.example.com, *.example.org to hello\n")
    said(ctx, "domains:remove", "hello", "a.example.com")
    assert ctx.apps["hello"]["domains"] == ["hello.localhost", "*.example.org"]


@pytest.mark.parametrize("host", ["a.com; } server {", "a.com\nb", "$host", "~^(.*)$", "UP.com", "10.0.0.1", ""])
def test_what_is_no_host_name_is_refused_before_any_call(ctx: FakeContext, host: str) -> None:
    assert refused(ctx, "domains:add", "hello", host).startswith("domain: ")
    assert ctx.calls == []


def test_domains_report_has_dokkus_rows(ctx: FakeContext) -> None:
    ctx.tty = True
    assert said(ctx, "domains:report", "hello") == (
        "=====> hello domains information\n"
        "       Domains app enabled:           true\n"
        "       Domains app vhosts:            hello.localhost\n"
        "       Domains global enabled:        true\n"
        "       Domains global vhosts:         localhost\n"
    )


def test_a_reports_flag_gives_the_bare_value(ctx: FakeContext) -> None:
    assert said(ctx, "domains:report", "hello", "--domains-app-vhosts") == "hello.localhost\n"
    assert said(ctx, "domains:report", "--domains-app-vhosts", "hello") == "hello.localhost\n"
    assert said(ctx, "ps:report", "hello", "--deployed") == said(ctx, "ps:report", "hello", "--ps-deployed") == "true\n"


def test_an_unknown_flag_of_a_report_names_the_valid_ones(ctx: FakeContext) -> None:
    assert refused(ctx, "ps:report", "hello", "--x") == (
        "Invalid flag passed, valid flags: --deployed, --processes, --running"
    )


def test_a_report_as_json_is_flat_and_carries_both_names(ctx: FakeContext) -> None:
    report = json.loads(said(ctx, "domains:report", "hello", "--format", "json"))
    assert report["domains-app-vhosts"] == report["app-vhosts"] == "hello.localhost"
    assert "domains-deployed" not in report
    assert json.loads(said(ctx, "ps", "hello", "--format=json"))["ps-running"] == "false"


def test_a_report_without_an_app_is_of_all(ctx: FakeContext) -> None:
    ctx.call("configsvc", "create_app", name="blog")
    lines = said(ctx, "domains:report", "--format", "json").splitlines()
    assert [json.loads(line)["app"] for line in lines] == ["blog", "hello"]


@pytest.mark.parametrize(
    ("port", "hosts", "url"),
    [
        (8080, ["hello.localhost"], "http://hello.localhost:8080\n"),
        (80, ["*.x.org", "shop.org"], "http://shop.org\n"),
    ],
)
def test_url_is_the_first_host_that_is_no_wildcard(ctx: FakeContext, port: int, hosts: list[str], url: str) -> None:
    ctx.http_port, ctx.apps["hello"]["domains"] = port, hosts
    assert said(ctx, "url", "hello") == url


def test_url_of_an_app_without_a_host_says_what_to_do(ctx: FakeContext) -> None:
    ctx.apps["hello"]["domains"] = []
    assert "domains:add hello HOST" in refused(ctx, "url", "hello")


# ps


def test_ps_scale_without_quantities_shows_them(ctx: FakeContext) -> None:
    ctx.apps["hello"]["formation"] = {"web": 1, "worker": 0}
    assert said(ctx, "ps:scale", "hello") == "web:     1\nworker:  0\n"
    ctx.tty = True
    assert said(ctx, "ps:scale", "hello").startswith("-----> Scaling for hello\nproctype: qty\n--------: ---\n")
    assert json.loads(said(ctx, "ps:scale", "hello", "--format", "json"))[0] == {"process_type": "web", "quantity": 1}


def test_ps_scale_sets_quantities_and_may_skip_the_deploy(ctx: FakeContext) -> None:
    said(ctx, "ps:scale", "hello", "web=2", "worker=1", "--skip-deploy")
    wanted = {"name": "hello", "formation": {"web": 2, "worker": 1}, "deploy": False}
    assert ctx.calls == [("configsvc", "scale", wanted)]


@pytest.mark.parametrize("word", ["web=-1", "web=1000000000", "web=1=2", "web", "web=", "../x=1", "web;id=1"])
def test_ps_scale_refuses_what_is_no_quantity(ctx: FakeContext, word: str) -> None:
    assert "allowed" in refused(ctx, "ps:scale", "hello", word)
    assert "stands twice" in refused(ctx, "ps:scale", "hello", "web=1", "web=2")
    assert ctx.calls == []


def test_ps_report_tells_what_each_container_is_at(ctx: FakeContext) -> None:
    ctx.apps["hello"]["processes"] = [
        {"process": "web", "number": 1, "state": "running", "container": "0123456789abcdef", "release": 1},
        {"process": "web", "number": 2, "state": "missing", "container": None, "release": 1},
    ]
    assert said(ctx, "ps:report", "hello") == (
        "       Deployed:                      true\n"
        "       Processes:                     2\n"
        "       Running:                       mixed\n"
        "       Status web 1:                  running (CID: 0123456789a)\n"
        "       Status web 2:                  missing\n"
    )
    assert refused(ctx, "ps", "blog", code=20) == "App blog does not exist"


# logs, builds, releases, events


def line(text: str) -> dict[str, str]:
    return {"time": "2026-01-02T03:04:05.678Z", "process": "web.1", "text": text}


def test_logs_shows_time_and_process_or_with_q_the_bare_line(ctx: FakeContext) -> None:
    ctx.log_batches = [[line("one")], [line("two")]]
    assert said(ctx, "logs", "hello", "-n", "5", "-p", "web.1") == "2026-01-02T03:04:05.678Z app[web.1]: one\n"
    assert ctx.calls[0][2] == {"name": "hello", "lines": 5, "process": "web.1", "since": None}
    assert said(ctx, "logs", "-q", "hello") == "two\n"


def test_logs_t_goes_on_from_the_cursor_until_the_client_is_gone(ctx: FakeContext) -> None:
    ctx.log_batches, ctx.leaves_after = [[line("one")], [], [line("two"), line("three")]], 2
    assert said(ctx, "logs", "-qt", "hello", code=1) == "one\ntwo\nthree\n"
    assert [call[2]["since"] for call in ctx.calls] == [None, "after 1", "after 2"]
    assert [call[2]["lines"] for call in ctx.calls] == [100, MAX_LINES, MAX_LINES]


def test_a_client_that_leaves_is_logged_only_when_it_was_not_told_something(
    ctx: FakeContext, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(data: bytes) -> None:
        raise PushlogError("the client is gone")

    monkeypatch.setattr(ctx, "write_err", gone)
    caplog.set_level("INFO")
    ctx.leaves_after = 0
    assert run(ctx, ["logs", "-t", "hello"]) == 1
    assert caplog.records == []
    assert run(ctx, ["logs", "nosuch"]) != 0
    assert [record.getMessage() for record in caplog.records] == [
        "the client left before it was told: App nosuch does not exist"
    ]


def test_logs_t_with_no_lines_wanted_begins_with_what_comes(ctx: FakeContext) -> None:
    ctx.log_batches, ctx.leaves_after = [[line("old")], [line("new")]], 1
    assert said(ctx, "logs", "-q", "-t", "-n", "0", "hello", code=1) == "new\n"


def test_many_lines_are_written_many_at_once(ctx: FakeContext) -> None:
    ctx.log_batches = [[line(str(number)) for number in range(2500)]]
    assert said(ctx, "logs", "-q", "hello").splitlines() == [str(number) for number in range(2500)]
    assert ctx.writes == 3


def test_logs_as_json_gives_one_object_a_line(ctx: FakeContext) -> None:
    ctx.log_batches = [[line("a"), line("b")]]
    texts = [json.loads(row)["text"] for row in said(ctx, "logs", "hello", "--format", "json").splitlines()]
    assert texts == ["a", "b"]


@pytest.mark.parametrize("flags", [["-p", "web;id"], ["-p", "web.x"], ["-n", "-1"], ["-n", "x"]])
def test_logs_refuses_bad_flags(ctx: FakeContext, flags: list[str]) -> None:
    refused(ctx, "logs", "hello", *flags)
    assert ctx.calls == []


def test_builds_are_listed_and_their_output_printed(ctx: FakeContext) -> None:
    build = {"id": "b1", "number": 3, "status": "failed", "commit": "0123456789", "buildpack": None}
    ctx.apps["hello"]["builds"] = [build | {"started": "2026-01-02T03:04:05.678Z", "finished": None, "reason": "a\x1b"}]
    assert said(ctx, "builds:list", "hello") == "3  b1  failed  01234567  -  2026-01-02T03:04:05  a\\x1b\n"
    assert said(ctx, "builds:output", "hello") == "output of the latest\n"
    assert said(ctx, "builds:output", "hello", "b1") == "output of b1\n"
    assert "is not a build" in refused(ctx, "builds:output", "hello", "../b1")


def test_releases_are_listed_with_column_heads_on_a_terminal(ctx: FakeContext) -> None:
    release = {"number": 2, "change": "set A", "by": "me", "when": "2026-01-02T03:04:05Z", "status": "current"}
    ctx.apps["hello"]["releases"] = [release]
    assert said(ctx, "releases", "hello") == "v2  current  set A  me  2026-01-02T03:04:05\n"
    ctx.tty = True
    assert said(ctx, "releases", "hello").splitlines()[1].split() == ["number", "status", "change", "by", "when"]


def test_a_release_is_shown_with_its_settings(ctx: FakeContext) -> None:
    release = {"number": 2, "change": "set A", "config": ["A", "B"], "formation": {"web": 1, "worker": 0}}
    ctx.apps["hello"]["releases"] = [release]
    shown = {"number": "2", "change": "set A", "config": "A B", "formation": "web=1 worker=0"}
    assert json.loads(said(ctx, "releases:info", "hello", "v2", "--format", "json")) == shown
    assert "formation:  web=1 worker=0" in said(ctx, "releases:info", "hello")


def test_a_rollback_says_what_it_will_change_before_it_does_it(ctx: FakeContext) -> None:
    assert said(ctx, "rollback", "hello", "v1", "--keep", "config", "--keep", "domains") == ""
    assert ctx.err.decode() == (
        "-----> Rolling back hello to v1\n       config:  unset A\n       image:   b → a\n-----> Deploying\n"
    )
    asked = {"name": "hello", "number": 1, "keep": ["config", "domains"]}
    assert ctx.calls == [("configsvc", "rollback_plan", asked), ("configsvc", "rollback", asked)]


def test_an_undo_says_what_it_undoes_and_follows_what_that_sets_in_motion(ctx: FakeContext) -> None:
    said(ctx, "log:undo", "17")
    assert ctx.err == b"-----> Undoing config:set hello A=***\n-----> Deploying\n"
    assert ctx.calls == [("configsvc", "undo", {"position": 17})]
    assert '"0" is not one' in refused(ctx, "log:undo", "0")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["log:undo"], "log:undo: missing argument <position>; see: pushlog help log:undo"),
        (["rollback", "a", "--format", "json"], "rollback: no such option '--format'; see: pushlog help rollback"),
        (["log:diff", "1"], "log:diff: missing argument <to>; see: pushlog help log:diff"),
        (["events", "-n", "-3"], "'-n' / '--num': '-3' is not one; allowed is a whole number from 0 to 10000; see"),
    ],
)
def test_a_bad_word_is_named_as_the_usage_shows_it(ctx: FakeContext, argv: list[str], told: str) -> None:
    assert told in refused(ctx, *argv)


def test_an_app_that_was_not_there_yet_is_said_to_be_missing_then(ctx: FakeContext) -> None:
    assert refused(ctx, "config:show", "blog", "--at", "0", code=20) == "App blog does not exist at position 0"


def test_a_clean_up_says_what_was_freed(ctx: FakeContext) -> None:
    assert said(ctx, "cleanup") == "hello  app  sha256:111111111111  3 MiB\n"
    assert ctx.err == b"-----> Removed 1 image, 3 MiB\n"
    assert json.loads(said(ctx, "cleanup", "--format", "json"))[0]["size"] == 3 << 20


@pytest.mark.parametrize("words", [("doctor:disk",), ("doctor", "disk")])
def test_the_disk_is_shown_by_its_owners(ctx: FakeContext, words: tuple[str, ...]) -> None:
    rows = [line.split("  ") for line in said(ctx, *words).splitlines()]
    assert [[cell.strip() for cell in row if cell] for row in rows] == [
        ["(no app)", "0 bytes", "0 bytes", "0 bytes", "5 bytes", "0 bytes", "5 bytes"],
        ["hello", "3 MiB", "1 MiB", "1 KiB", "1 KiB", "0 bytes", "4 MiB"],
        ["old (destroyed)", "0 bytes", "0 bytes", "7 bytes", "0 bytes", "0 bytes", "7 bytes"],
        ["(database)", "-", "-", "-", "-", "-", "2 KiB"],
        ["(free)", "-", "-", "-", "-", "-", "4 GiB"],
    ]
    assert json.loads(said(ctx, *words, "--format", "json"))[1]["total"] == (4 << 20) + 2048


def test_caches_that_docker_does_not_count_in_time_are_not_told(ctx: FakeContext) -> None:
    ctx.caches = None
    row = json.loads(said(ctx, "doctor:disk", "--format", "json"))[1]
    assert (row["owner"], row["caches"], row["total"]) == ("hello", None, (3 << 20) + 2048)


def test_a_bad_rollback_is_refused_before_anything_is_asked(ctx: FakeContext) -> None:
    assert refused(ctx, "rollback", "hello", "v0").startswith('release: "v0" is not a release; allowed is')
    twice = refused(ctx, "rollback", "hello", "--keep", "config,domains", "--keep", "config")
    assert twice == 'keep: "config" stands twice; allowed is each once'
    assert refused(ctx, "rollback", "hello", "--keep", "image").startswith('keep: "image" cannot be kept; allowed are')
    assert ctx.calls == []


def event(data: dict[str, Any], type: str = "config.changed", subject: str = "hello") -> dict[str, Any]:
    where = {"position": 7, "type": type, "subject": subject, "actor": "me SHA256:x"}
    return {"specversion": "1.0", "time": "2026-01-02T03:04:05.678901Z", "data": data, **where}


def test_events_ask_for_what_the_flags_say(ctx: FakeContext) -> None:
    said(
        ctx, "events", "hello", "-n", "5", "--since", "17", "--type", "push.*", "--type", "key.added", "--actor", "ann"
    )
    assert ctx.wanted == Wanted("hello", ("push.*", "key.added"), "ann", since=17, last=5)
    said(ctx, "events", "-t", "--since", "2026-11-25T12:00:00Z")
    assert ctx.wanted == Wanted(since=datetime(2026, 11, 25, 12, tzinfo=UTC), tail=True)


@pytest.mark.parametrize(
    "argv",
    [
        ["--since", "yesterday"],
        ["--until", "-1"],
        ["--type", "release.made"],
        ["--actor", "a b"],
        ["-n", "-1"],
        ["-n", "10001"],
        ["-t", "--until", "17"],
        ["HELLO"],
    ],
)
def test_bad_values_of_events_are_refused_in_one_sentence(ctx: FakeContext, argv: list[str]) -> None:
    assert len(refused(ctx, "events", *argv).splitlines()) == 1


def test_a_refused_command_shows_as_what_it_was_why_and_how_often(ctx: FakeContext) -> None:
    event = {"position": 9, "time": "2026-01-01T00:00:00.000000Z", "subject": "ann", "actor": "ann SHA256:x"}
    data = {"reason": "App blog does not exist", "count": 3}
    ctx.happened = [{**event, "type": "command.refused", "command": "apps:destroy blog", "data": data}]
    assert said(ctx, "events").endswith("ann SHA256:x  apps:destroy blog: App blog does not exist, 3 times\n")


def test_events_show_a_line_each_and_never_a_configs_value(ctx: FakeContext) -> None:
    ctx.happened = [event({"app": "u", "set": {"DB": "sealed:x"}, "unset": ["A"]}), event({}, "app.created", "blog")]
    assert said(ctx, "events", "hello") == (
        "     7  2026-01-02T03:04:05Z  config.changed     hello  me SHA256:x  set DB, unset A\n"
    )
    lines = said(ctx, "events", "--format", "json").splitlines()
    assert [json.loads(row) for row in lines] == ctx.happened


# ssh keys


def test_ssh_keys_add_reads_the_key_on_stdin_and_drops_its_comment(ctx: FakeContext) -> None:
    ctx.stdin = f"{ED25519}\n".encode()
    assert said(ctx, "ssh-keys:add", "admin") == "SHA256:admin\n"
    assert ctx.keys == {"admin": ED25519.rpartition(" ")[0]}


def test_ssh_keys_add_refuses_a_path_and_what_is_no_key(ctx: FakeContext) -> None:
    assert refused(ctx, "ssh-keys:add", "admin", "/etc/passwd").startswith("path: only the local pushlog command")
    for stdin in (b"", b"\xff\xfe", b"x" * 20000, b"hello"):
        ctx.stdin = stdin
        refused(ctx, "ssh-keys:add", "admin")
    assert ctx.calls == []


def test_ssh_keys_list_and_remove(ctx: FakeContext) -> None:
    ctx.keys = {"a": "k", "b": "k"}
    assert said(ctx, "ssh-keys:list") == 'SHA256:a  NAME="a"\nSHA256:b  NAME="b"\n'
    assert json.loads(said(ctx, "ssh-keys:list", "--format", "json"))[1]["name"] == "b"
    said(ctx, "ssh-keys:remove", "a")
    assert list(ctx.keys) == ["b"]
    refused(ctx, "ssh-keys:remove")
    refused(ctx, "ssh-keys:remove", "--fingerprint", "SHA256:short")
    refused(ctx, "ssh-keys:remove", "b", "--fingerprint", "SHA256:" + "A" * 43)


# what is about all of them


def test_version_tells_dokku_clients_dokkus_version(ctx: FakeContext) -> None:
    assert said(ctx, "version") == said(ctx, "--version") == "pushlog version 0.1.0\n"
    ctx.user = "dokku"
    assert said(ctx, "version") == "dokku version 0.38.27 (pushlog 0.1.0)\n"


def test_app_before_the_command_stands_for_its_first_word(ctx: FakeContext) -> None:
    assert said(ctx, "--app", "hello", "url") == said(ctx, "--app=hello", "url") == said(ctx, "url", "hello")
    assert "is not about one app" in refused(ctx, "--app", "hello", "apps:list")


@pytest.mark.parametrize("argv", [["apps:list"], ["config:get", "hello", "A"], ["ps:report", "hello"], ["version"]])
def test_a_command_that_records_nothing_refuses_dry_run_in_one_sentence(ctx: FakeContext, argv: list[str]) -> None:
    assert "--dry-run is for commands that record something; run it without" in refused(ctx, *argv, "--dry-run")
    assert ctx.calls == []


@pytest.mark.parametrize("flag", [["--at", "3"], ["--at=3"], ["--at", "2026-11-25T12:00:00Z"]])
@pytest.mark.parametrize(
    "argv", [["config:set", "hello", "A=b"], ["ps:report", "hello"], ["logs", "hello"], ["version"]]
)
def test_a_command_whose_answer_is_no_fold_refuses_at_in_one_sentence(
    ctx: FakeContext, argv: list[str], flag: list[str]
) -> None:
    assert "--at is for commands whose answer is folded from the log; run it without" in refused(ctx, *argv, *flag)
    assert ctx.calls == []


@pytest.mark.parametrize("moment", ["yesterday", "-1", "", "1e9", "3\n", "2026-13-01"])
def test_a_moment_that_is_none_is_refused(ctx: FakeContext, moment: str) -> None:
    assert "is neither a position nor a time; allowed are" in refused(ctx, "apps:list", f"--at={moment}")


def test_a_position_that_the_log_has_not_reached_is_refused(ctx: FakeContext) -> None:
    assert "position 7 is beyond the end of the log; allowed are 0 to 0" in refused(ctx, "apps:list", "--at", "7")


def test_a_permission_that_the_actor_does_not_hold_is_refused(ctx: FakeContext) -> None:
    ctx.held = frozenset({"read"})
    assert refused(ctx, "apps:create", "blog") == "apps:create: permission denied"
    assert ctx.calls == []
    ctx.held = frozenset()
    refused(ctx, "apps:list")
    said(ctx, "version")


def test_a_service_that_does_not_answer_is_one_sentence(ctx: FakeContext) -> None:
    ctx.fault = Unavailable("configsvc did not answer within 10 s")
    assert refused(ctx, "apps:list") == "configsvc did not answer within 10 s"


def test_what_nobody_foresaw_is_logged_and_shown_as_a_sentence(
    ctx: FakeContext, caplog: pytest.LogCaptureFixture
) -> None:
    ctx.fault = ZeroDivisionError("inner")
    sentence = refused(ctx, "config:set", "hello", "A=hunter2")
    assert sentence == "Pushlog failed unexpectedly (ZeroDivisionError); its own log says more"
    assert caplog.records[0].getMessage() == "an unexpected error in: config:set hello A=***"
    assert run(ctx, ["--trace", "apps:list"]) == 1
    assert b"Traceback" in ctx.err


# the master key


def test_rekey_says_how_many_keys_it_wrapped_and_what_to_do_with_a_key_that_is_kept(ctx: FakeContext) -> None:
    assert said(ctx, "log:rekey") == ""
    assert ctx.err == b"-----> Rotated the master key\n       Data keys:  1\n"
    ctx.stdin = b"ab" * 32 + b"\n"
    said(ctx, "log:rekey")
    assert b"restart every process" in ctx.err
    assert b"abab" not in ctx.err
