"""Who did what from where, and what they were refused; and the log as somebody reads it who comes back."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, wait_for
from tests.e2e.world import Said, at_once, serving

Checkouts = Callable[..., Checkout]


@pytest.fixture
def ann(shared: Instance, app: str) -> Path:
    """A key of its own, known as `ann-<app>`."""
    key = fresh_key(shared, app)
    shared.ssh("ssh-keys:add", f"ann-{app}", input=key.with_suffix(".pub").read_text())
    return key


def fresh_key(instance: Instance, name: str) -> Path:
    """A key that nobody knows."""
    key = instance.home.parent / f"key-{name}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


def refusals(instance: Instance, actor: str) -> list[tuple[str, str]]:
    """What was refused to an actor: the command line and why."""
    words = ("--type", "command.refused", "--actor", actor)
    return [(event["command"], event["data"]["reason"]) for event in instance.events(*words)]


def test_every_event_of_a_story_says_who_asked_from_where_with_which_words(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    pushed = shared.events(app)
    shared.ssh("config:set", app, "TOKEN=canary")
    shared.ssh("ps:scale", app, "worker=1")
    shared.ssh("domains:add", app, f"{app}.example.org")
    shared.pushlog("config:unset", app, "TOKEN")
    since = str(pushed[-1]["position"])
    wait_for(lambda: shared.events(app, "--since", since)[-1]["type"] == "release.retired", "the last change's end")
    rest = shared.events(app, "--since", since)
    assert {event["command"] for event in pushed} == {f"git-receive-pack {app}"}
    commands = [f"config:set {app} TOKEN=***", f"ps:scale {app} worker=1", f"domains:add {app} {app}.example.org"]
    assert list(dict.fromkeys(event["command"] for event in rest)) == [*commands, f"config:unset {app} TOKEN"]
    assert {event["source"].rpartition("/")[2] for event in rest} == {"configsvc", "deployer", "router"}
    for event in [*pushed, *rest]:
        over_ssh = not event["command"].startswith("config:unset")
        assert event["actor"].startswith("tester SHA256:" if over_ssh else "local")
        assert event["origin"].startswith("127.0.0.1:" if over_ssh else "local")


def test_what_a_known_key_was_refused_is_recorded_and_what_an_unknown_one_tries_is_not(
    shared: Instance, checkout: Checkouts, app: str, ann: Path
) -> None:
    head = shared.events()[-1]["position"]
    shared.ssh("config:get", app, "KEY", key=ann, check=False)
    shared.ssh("apps:exists", app, key=ann, check=False)
    shared.ssh("apps:list", key=fresh_key(shared, f"nobody-{app}"), check=False)
    done = shared.ssh("apps:destroy", "--force", app, key=ann, check=False)
    assert (done.returncode, done.stderr) == (20, f" !     App {app} does not exist\n")
    first = (f"apps:destroy --force {app}", f"App {app} does not exist")
    wait_for(lambda: refusals(shared, f"ann-{app}") == [first], "the refusal")
    [event] = shared.events("--since", str(head), "--actor", f"ann-{app}")
    assert event["origin"].startswith("127.0.0.1:")
    assert event["data"]["count"] == 1


@pytest.mark.parametrize(
    ("refspec", "reason"),
    [
        ("main:refs/heads/-x", "refs/heads/-x: invalid ref name"),
        ("main:refs/notes/x", "refs/notes/x: invalid ref name"),
    ],
)
def test_a_push_that_was_refused_before_anything_is_recorded(
    shared: Instance, checkout: Checkouts, app: str, ann: Path, refspec: str, reason: str
) -> None:
    source = checkout(shared, {".null": ""})
    environment = {**shared.environment, "GIT_SSH_COMMAND": f"ssh -i {ann} {' '.join(shared.ssh_options[2:])}"}
    argv = ["git", "push", shared.url(app), refspec]
    assert subprocess.run(argv, cwd=source.path, env=environment, capture_output=True).returncode == 1
    wait_for(lambda: refusals(shared, f"ann-{app}") == [(f"git-receive-pack {app}", reason)], "the refusal")
    assert shared.ssh("apps:exists", app, check=False).returncode == 20


def test_a_push_to_what_is_no_apps_name_is_recorded_as_refused(shared: Instance, app: str, ann: Path) -> None:
    done = shared.ssh("git-receive-pack", "'BAD NAME'", key=ann, check=False)
    assert done.returncode != 0
    [(command, reason)] = wait_for(lambda: refusals(shared, f"ann-{app}"), "the refusal")
    assert command == "git-receive-pack ***"
    assert '"BAD NAME" is not an app name' in reason


def test_a_reader_who_comes_back_goes_on_where_it_was(shared: Instance, app: str) -> None:
    shared.ssh("apps:create", app)
    seen = shared.events("-n", "1")[0]["position"]
    shared.ssh("config:set", app, "A=1")
    shared.ssh("apps:destroy", app, input=f"{app}\n")
    types = [event["type"] for event in shared.events("--since", str(seen))]
    assert types[0] == "config.changed"
    assert "app.destroyed" in types
    argv = shared.ssh_argv("events", app, "-t", "--since", str(seen), "--type", "config.*", "--format", "json")
    with shared.running(argv) as follower:
        assert json.loads(follower.wait_for_line("{"))["position"] == seen + 1
    beyond = shared.ssh("events", "--since", str(10**9), check=False)
    assert beyond.stderr.startswith(" !     moment: position 1000000000 is beyond the end of the log")


def test_the_master_key_is_rotated_while_apps_serve_and_config_is_set(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    checkout(shared, ECHO).push(app)
    shared.ssh("config:set", app, "TOKEN=canary")
    container, before = serving(shared, app), (shared.home / "master.key").read_text()
    said = at_once(shared, ["log:rekey", *(f"config:set --no-restart {app} N{n}=v{n}" for n in range(8)), "log:rekey"])
    assert {each.code for each in said} == {0}
    after = (shared.home / "master.key").read_text()
    assert after != before
    assert not (shared.home / "master.key.new").exists()
    assert at_once(shared, [f"config:get {app} {key}" for key in ("TOKEN", "N7")]) == [
        Said(0, "canary\n", ""),
        Said(0, "v7\n", ""),
    ]
    assert serving(shared, app)["Id"] == container["Id"]
    rekeyed = shared.events("--type", "keyring.rekeyed", "-n", "2")
    assert {event["command"] for event in rekeyed} == {"log:rekey"}
    shared.ssh("config:set", app, "TOKEN=canary-2")  # the deployer opens it, in a process of its own perhaps
    assert shared.get(app, "/TOKEN").text == "canary-2"


def test_what_was_refused_within_the_minute_is_recorded_at_a_stop(mortal: Instance, app: str) -> None:
    for _ in range(3):
        mortal.ssh("apps:destroy", "--force", app, check=False)
    mortal.down()
    mortal.up()
    told = mortal.events("--type", "command.refused")
    assert sum(event["data"]["count"] for event in told if app in event["command"]) >= 3
