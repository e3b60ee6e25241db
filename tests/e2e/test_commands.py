"""The commands, over SSH and locally: what they print, what they end with, and what they do."""

import json
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import ROOT, Checkout, Instance, wait_for

Checkouts = Callable[..., Checkout]
QUIET_SECONDS = 3.0


@pytest.fixture(scope="module")
def hello(shared: Instance, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of an app with a build, a config var and a line in its logs, which no test changes."""
    Checkout.of(ECHO, tmp_path_factory.mktemp("hello") / "checkout", shared).push("hello")
    shared.ssh("config:set", "hello", "COLOR=blue")
    shared.get("hello", "/say/something")
    wait_for(lambda: "something" in shared.ssh("logs", "hello").stdout, "the app's line")
    wait_for(lambda: shared.types("hello")[-1] == "release.retired", "the old release's end")
    return "hello"


READS = (
    "apps:list",
    "config:show hello",
    "config:get hello COLOR",
    "config:get hello UNSET",
    "domains:report hello",
    "ps:report hello",
    "ps:scale hello",
    "logs hello",
    "builds:list hello",
    "builds:output hello",
    "releases hello",
    "releases:info hello v1",
    "ssh-keys:list",
    "events hello",
    "url hello",
    "version",
    "help",
    "help config:set",
    "help --all",
    "apps:exists hello",
    "apps:exists nobody",
    "apps:nonsense",
    "ps:report hello --nonsense",
)


@pytest.mark.parametrize("line", READS)
def test_a_command_answers_the_same_over_ssh_and_locally(shared: Instance, hello: str, line: str) -> None:
    remote, local = (run(*line.split(), check=False) for run in (shared.ssh, shared.pushlog))

    assert (remote.returncode, remote.stdout, remote.stderr) == (local.returncode, local.stdout, local.stderr)


JSON = (
    "apps:list",
    "config:show hello",
    "domains:report hello",
    "domains:report",
    "ps:report hello",
    "ps:report",
    "ps:scale hello",
    "logs hello",
    "builds:list hello",
    "releases hello",
    "ssh-keys:list",
    "events hello",
)


@pytest.mark.parametrize("line", JSON)
def test_every_list_and_report_is_also_json(shared: Instance, hello: str, line: str) -> None:
    told = shared.ssh(*line.split(), "--format", "json").stdout.splitlines()

    assert told
    assert all(isinstance(json.loads(text), dict | list) for text in told)


def test_lists_say_what_there_is(shared: Instance, hello: str) -> None:
    port = shared.http_port
    assert hello in shared.ssh("apps:list").stdout.splitlines()
    assert shared.ssh("config:show", hello).stdout == "COLOR:  blue\n"
    assert shared.ssh("config:get", hello, "COLOR").stdout == "blue\n"
    assert shared.ssh("url", hello).stdout == f"http://hello.localhost:{port}\n"
    assert shared.ssh("ps:scale", hello).stdout == "web:     1\nworker:  0\n"
    assert json.loads(shared.ssh("ps:scale", hello, "--format", "json").stdout) == [
        {"process_type": "web", "quantity": 1},
        {"process_type": "worker", "quantity": 0},
    ]
    assert 'NAME="tester"' in shared.ssh("ssh-keys:list").stdout
    assert "-----> Null app detected" in shared.ssh("builds:output", hello).stdout
    (build,) = json.loads(shared.ssh("builds:list", hello, "--format", "json").stdout)
    assert (build["number"], build["status"], build["buildpack"]) == (1, "succeeded", "null")


def test_processes_are_reported_with_their_containers(shared: Instance, hello: str) -> None:
    (made,) = shared.containers_of(hello)
    told = shared.ssh("ps:report", hello).stdout

    assert "       Deployed:                      true\n" in told
    assert "       Running:                       true\n" in told
    assert f"       Status web 1:                  running (CID: {made['Id'][:11]})\n" in told
    assert shared.ssh("ps:report", hello, "--running").stdout == "true\n"


def test_exit_codes_tell_what_is_there(shared: Instance, hello: str) -> None:
    assert shared.ssh("apps:exists", hello).stdout == ""
    unset = shared.ssh("config:get", hello, "UNSET", check=False)
    assert (unset.returncode, unset.stdout, unset.stderr) == (1, "", "")
    unknown = shared.ssh("apps:lits", check=False)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith(" !     `apps:lits` is not a command.\n !     Did you mean apps:list?")


@pytest.mark.parametrize(
    "line",
    [
        "apps:exists",
        "apps:destroy --force",
        "config:show",
        "config:get nobody KEY",
        "config:set nobody KEY=value",
        "config:unset nobody KEY",
        "domains:add nobody nobody.example.com",
        "domains:remove nobody nobody.example.com",
        "domains:report",
        "ps:scale",
        "ps:scale nobody web=2",
        "ps:report",
        "logs",
        "logs -t",
        "builds:list",
        "builds:output",
        "releases",
        "releases:info",
        "rollback",
        "events",
        "url",
    ],
)
def test_an_app_that_does_not_exist_is_exit_code_20(shared: Instance, line: str) -> None:
    words = line.split()
    done = shared.ssh(*(words if "nobody" in words else [words[0], "nobody", *words[1:]]), check=False)

    assert done.returncode == 20
    assert done.stderr == " !     App nobody does not exist\n"
    assert done.stdout == ""


def test_help_shows_every_command_and_how_one_is_used(shared: Instance) -> None:
    for name in ("apps:create", "config:set", "domains:add", "ps:scale", "logs", "builds:output", "events", "url"):
        assert name in shared.ssh("help", "--all").stdout
    of_one = [shared.ssh(*words).stdout for words in (["help", "config"], ["config:help"], ["config", "--help"])]
    assert "config:set" in of_one[0]
    assert of_one[0] == of_one[1] == of_one[2]


def test_the_version_is_dokkus_to_a_dokku_client(shared: Instance) -> None:
    plain = shared.ssh("version").stdout.strip()

    assert plain.startswith("pushlog version ")
    assert shared.ssh("version", user="dokku").stdout.startswith("dokku version 0.")


def test_an_app_is_created_once(shared: Instance, app: str) -> None:
    shared.ssh("apps:create", app)
    again = shared.ssh("apps:create", app, check=False)

    assert again.returncode == 1
    assert again.stderr == f" !     app: {app} is taken; choose another name\n"


def test_an_app_is_destroyed_when_its_name_is_typed_again(shared: Instance, app: str) -> None:
    shared.ssh("apps:create", app)

    for typed in ("", "another\n"):
        refused = shared.ssh("apps:destroy", app, input=typed, check=False)
        assert refused.returncode == 1
        assert f"Confirmation did not match {app}; nothing was done" in refused.stderr
    shared.ssh("apps:exists", app)

    shared.ssh("apps:destroy", app, input=f"{app}\n")
    assert shared.ssh("apps:exists", app, check=False).returncode == 20


def test_what_an_app_that_is_destroyed_for_good_had_is_gone_and_its_name_and_domains_are_free(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    shared.ssh("domains:add", app, f"{app}.example.com")
    shared.ssh("config:set", app, "COLOR=blue")
    uuid = shared.events(app)[0]["data"]["app"]

    shared.ssh("apps:destroy", app, "--now", "--force")
    other = f"{app}-other"
    shared.ssh("apps:create", other)
    shared.ssh("domains:add", other, f"{app}.example.com")
    wait_for(lambda: unanswered(shared, app), "the route's end")
    wait_for(lambda: not shared.containers_of(app), "the containers' end")
    wait_for(lambda: not list(shared.home.glob(f"repositories/*{uuid}*")), "the repository's end")

    source.edit("app.py", "one", "two")
    source.commit()
    pushed = source.push(app)
    assert f"remote: -----> Creating {app}" in pushed.stderr
    assert shared.get(app).text == "two"
    assert shared.get(app, "/COLOR").text == ""
    assert shared.ssh("releases", app).stdout.startswith("v1 ")
    moved = [event for event in shared.events(app) if event["type"] == "ref.moved"]
    assert [event["data"]["app"] == uuid for event in moved] == [True, False]


def test_logs_show_what_the_app_printed_and_survive_a_deploy(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    for word in ("alpha", "beta", "gamma"):
        shared.get(app, f"/say/{word}")
    wait_for(lambda: texts(shared, app) == ["alpha", "beta", "gamma"], "the app's lines")
    assert texts(shared, app, "-n", "1") == ["gamma"]
    assert texts(shared, app, "-p", "web.1") == ["alpha", "beta", "gamma"]
    assert texts(shared, app, "-p", "worker") == []
    assert shared.ssh("logs", app, "-q", "-n", "1").stdout == "gamma\n"

    source.commit()
    source.push(app)
    shared.get(app, "/say/delta")
    wait_for(lambda: texts(shared, app) == ["alpha", "beta", "gamma", "delta"], "the new release's line")
    wait_for(lambda: len(shared.containers_of(app)) == 1, "the old container's end")
    assert texts(shared, app) == ["alpha", "beta", "gamma", "delta"]


def test_logs_are_followed_through_a_deploy(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    with shared.running(shared.ssh_argv("logs", "-t", app)) as follower:
        shared.get(app, "/say/alpha")
        assert follower.wait_for_line("alpha").endswith("app[web.1]: alpha")
        source.commit()
        source.push(app)
        shared.get(app, "/say/beta")
        follower.wait_for_line("beta")

    assert [line.rpartition(" ")[2] for line in follower.lines] == ["alpha", "beta"]


@pytest.mark.parametrize("over", ["ssh", "local"])
def test_events_are_followed_as_they_happen(shared: Instance, app: str, over: str) -> None:
    argv = (shared.ssh_argv if over == "ssh" else shared.local_argv)("events", "-t")
    with shared.running(argv, ROOT) as follower:
        follower.wait_for_line("key.added")
        shared.ssh("apps:create", app)
        assert app in follower.wait_for_line(f"app.created        {app}")

    assert not any("error" in line.lower() for line in follower.lines)


def test_events_name_who_did_it_and_by_which_command(shared: Instance, app: str) -> None:
    shared.ssh("apps:create", app)
    shared.pushlog("config:set", app, "TOKEN=verysecret")

    created, *_, changed = shared.events(app)
    assert created["specversion"] == "1.0"
    assert created["actor"].startswith("tester SHA256:")
    assert created["origin"].startswith("127.0.0.1:")
    assert created["command"] == f"apps:create {app}"
    assert (changed["actor"], changed["origin"]) == ("local", "local")
    assert changed["command"] == f"config:set {app} TOKEN=***"


def test_a_key_lets_in_from_when_it_is_added_until_it_is_removed(shared: Instance, app: str) -> None:
    key = shared.home.parent / f"key-{app}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)

    assert shared.ssh("version", key=key, check=False).returncode == 255
    fingerprint = shared.ssh("ssh-keys:add", app, input=key.with_suffix(".pub").read_text()).stdout.strip()
    assert {"name": app, "fingerprint": fingerprint}.items() <= next(
        row for row in json.loads(shared.ssh("ssh-keys:list", "--format", "json").stdout) if row["name"] == app
    ).items()
    shared.ssh("apps:create", app, key=key)
    assert shared.events(app)[0]["actor"] == f"{app} {fingerprint}"
    shared.ssh("ssh-keys:remove", app)
    refused = shared.ssh("version", key=key, check=False)
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_neither_a_shell_nor_another_program_is_run_over_ssh(shared: Instance, hello: str) -> None:
    for line in ("bash", "sh -c id", f"apps:exists {hello}; id", "git-upload-archive hello", "scp -t /"):
        done = shared.ssh(line, check=False)
        assert done.returncode == 1, line
        assert "uid=" not in done.stdout, line
        assert done.stderr.startswith(" !     "), line


def test_an_idle_instance_appends_nothing(shared: Instance, hello: str) -> None:
    heads: list[tuple[int, float]] = []

    def quiet() -> bool:
        """Whether the log has stood still for QUIET_SECONDS; the look itself takes some of them."""
        head = shared.head()
        if not heads or heads[-1][0] != head:
            heads.append((head, time.monotonic()))
        return time.monotonic() - heads[-1][1] > QUIET_SECONDS

    wait_for(quiet, "an instance that appends nothing")


def texts(instance: Instance, app: str, *flags: str) -> list[str]:
    """What an app said, by `logs`."""
    lines = instance.ssh("logs", app, *flags, "--format", "json").stdout.splitlines()
    return [json.loads(line)["text"] for line in lines]


def unanswered(instance: Instance, host: str) -> bool:
    """Whether nobody answers for a host."""
    try:
        instance.get(host)
    except ConnectionError:
        return True
    return False
