"""What only a log gives: answers about the past, rehearsals, differences, blame, and proofs."""

import json
from collections.abc import Callable

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, wait_for

Checkouts = Callable[..., Checkout]


@pytest.fixture(scope="module")
def story(shared: Instance, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """An app `past` to which three things happened; the position of the log after each."""
    positions = {}

    def done(what: str) -> None:
        wait_for(lambda: shared.types("past")[-1] in ("ref.moved", "release.retired"), f"the end of {what}")
        positions[what] = head(shared)

    Checkout.of(ECHO, tmp_path_factory.mktemp("past") / "checkout", shared).push("past")
    done("pushed")
    shared.ssh("config:set", "past", "COLOR=blue", "SHAPE=round")
    done("set")
    shared.ssh("domains:add", "past", "past.example.org")
    done("domain")
    shared.ssh("ps:scale", "past", "web=2")
    done("scaled")
    shared.ssh("config:unset", "past", "SHAPE")
    done("unset")
    return positions


def head(instance: Instance) -> int:
    """The log's last position."""
    return int(json.loads(instance.pushlog("log:verify").stdout)["events"])


def test_an_answer_that_is_folded_can_be_had_as_of_any_position(shared: Instance, story: dict[str, int]) -> None:
    def at(what: str, *words: str) -> str:
        return shared.ssh(*words, "--at", str(story[what])).stdout

    assert at("pushed", "config:show", "past") == ""
    assert at("set", "config:show", "past") == "COLOR:  blue\nSHAPE:  round\n"
    assert at("unset", "config:show", "past") == shared.ssh("config:show", "past").stdout == "COLOR:  blue\n"
    assert at("set", "config:get", "past", "SHAPE") == "round\n"
    assert at("domain", "ps:scale", "past").splitlines()[0] == "web:     1"
    assert at("scaled", "ps:scale", "past").splitlines()[0] == "web:     2"
    vhosts = "domains:report", "past", "--domains-app-vhosts"
    assert at("set", *vhosts) == "past.localhost\n"
    assert at("scaled", *vhosts) == "past.localhost past.example.org\n"
    assert [line.split()[0] for line in at("set", "releases", "past").splitlines()] == ["v2", "v1"]
    assert "past" in at("unset", "apps:list").split()


def test_before_an_app_was_it_does_not_exist(shared: Instance, story: dict[str, int]) -> None:
    refused = shared.ssh("config:show", "past", "--at", "0", check=False)
    assert (refused.returncode, refused.stderr) == (20, " !     App past does not exist at position 0\n")
    assert shared.ssh("apps:list", "--at", "0").stdout == ""


def test_a_moment_can_be_a_time(shared: Instance, story: dict[str, int]) -> None:
    events = [json.loads(line) for line in shared.ssh("events", "past", "--format", "json").stdout.splitlines()]
    set_at = next(e["time"] for e in events if e["type"] == "route.published" and e["data"]["release"] == 2)
    assert "SHAPE" in shared.ssh("config:show", "past", "--at", set_at).stdout


def test_the_world_has_no_past(shared: Instance, story: dict[str, int]) -> None:
    refused = shared.ssh("ps:report", "past", "--at", "3", check=False)
    assert refused.returncode == 1
    assert "whose answer is folded from the log" in refused.stderr


def test_what_changes_something_is_not_done_in_the_past(shared: Instance, story: dict[str, int]) -> None:
    refused = shared.ssh("ps:scale", "past", "web=5", "--at", str(story["set"]), check=False)
    assert refused.returncode == 1
    assert "the past cannot be changed" in refused.stderr


REHEARSALS = {
    "config:set past COLOR=canary-red": ["config.changed", "release.created"],
    "config:unset past COLOR": ["config.changed", "release.created"],
    "domains:add past more.example.org": ["domain.taken", "release.created"],
    "domains:remove past past.example.org": ["domain.freed", "release.created"],
    "ps:scale past web=3": ["formation.changed", "release.created"],
    "apps:create another": ["name.taken", "app.created", "domain.taken"],
    "apps:destroy past": ["domain.freed", "domain.freed", "name.freed", "app.destroyed"],
    "ssh-keys:remove tester": ["key.removed"],
}


@pytest.mark.parametrize("line", REHEARSALS)
def test_a_rehearsal_tells_the_events_and_records_none(shared: Instance, story: dict[str, int], line: str) -> None:
    before = head(shared)
    told = shared.ssh(*line.split(), "--dry-run")
    assert [row.split()[0] for row in told.stdout.splitlines()] == REHEARSALS[line]
    assert "canary" not in told.stdout + told.stderr
    assert head(shared) == before


def test_a_rehearsal_ends_as_the_command_would(shared: Instance, story: dict[str, int]) -> None:
    for line, code in {"config:set nobody A=b": 20, "apps:create past": 1, "ps:scale past web=5000": 1}.items():
        assert shared.ssh(*line.split(), "--dry-run", check=False).returncode == code


def test_a_rehearsal_is_json_where_the_command_is(shared: Instance, story: dict[str, int]) -> None:
    told = shared.ssh("ps:scale", "past", "web=3", "--dry-run", "--format", "json").stdout.splitlines()
    assert json.loads(told[0])["data"]["formation"] == {"web": 3}


def test_a_difference_says_what_changed(shared: Instance, story: dict[str, int]) -> None:
    def rows(start: str, end: str) -> dict[str, tuple[object, object]]:
        told = shared.ssh("log:diff", str(story[start]), str(story[end]), "past", "--format", "json").stdout
        return {row["setting"]: (row["before"], row["after"]) for row in json.loads(told)}

    assert rows("pushed", "set") == {"release": (1, 2), "config COLOR": (None, "set"), "config SHAPE": (None, "set")}
    assert rows("set", "domain") == {"release": (2, 3), "domain past.example.org": (None, "there")}
    assert rows("domain", "scaled") == {"release": (3, 4), "scale web": (1, 2)}
    assert rows("scaled", "unset") == {"release": (4, 5), "config SHAPE": ("set", None)}
    assert rows("unset", "unset") == {}
    text = shared.ssh("log:diff", "0", str(story["pushed"]), "past").stdout.splitlines()
    assert [line.split()[1] for line in text] == ["app", "release", "image", "commit", "scale", "scale", "domain"]


def test_blame_names_the_event_and_who_did_it(shared: Instance, story: dict[str, int]) -> None:
    told = json.loads(shared.ssh("log:blame", "past", "--format", "json").stdout)
    by_setting = {row["setting"]: row for row in told}
    assert {"config COLOR", "config SHAPE", "domain past.example.org", "scale web", "image"} <= by_setting.keys()
    color = by_setting["config COLOR"]
    assert story["pushed"] < color["position"] <= story["set"]
    assert color["by"].startswith("tester SHA256:")
    assert color["command"] == "config:set past 'COLOR=***' 'SHAPE=***'" or "***" in color["command"]
    assert by_setting["config SHAPE"]["is"] == "gone"
    [one] = json.loads(shared.ssh("log:blame", "past", "COLOR", "--format", "json").stdout)
    assert one == color
    assert "was never set" in shared.ssh("log:blame", "past", "NEVER", check=False).stderr


def test_the_log_is_verified_and_compared_with_a_noted_head(shared: Instance, story: dict[str, int]) -> None:
    noted = json.loads(shared.ssh("log:verify").stdout)["head"]
    shared.ssh("config:set", "past", "LATER=1", "--no-restart")
    assert json.loads(shared.ssh("log:verify", "--head", noted).stdout)["holds"] is True
    position, _ = noted.split(":")
    wrong = shared.ssh("log:verify", "--head", f"{position}:{'0' * 64}", check=False)
    assert wrong.returncode == 1
    assert json.loads(wrong.stdout)["bad"] == int(position)


def test_the_live_states_are_what_the_log_says(shared: Instance, story: dict[str, int]) -> None:
    told = json.loads(shared.ssh("log:replay").stdout)
    assert (told["holds"], told["said"]) == (True, "The live state is what the log says")
    then = json.loads(shared.ssh("log:replay", "--until", str(story["set"])).stdout)
    assert then["position"] == story["set"]
    assert then["configsvc state"] != told["configsvc state"]


@pytest.mark.only("embedded", "nothing of an instance runs only where it is one process")
def test_the_log_tells_and_proves_while_nothing_runs(mortal: Instance, app: str) -> None:
    mortal.pushlog("apps:create", app)
    mortal.pushlog("config:set", app, "COLOR=blue")
    mortal.down()
    try:
        verified = json.loads(mortal.pushlog("log:verify").stdout)
        replayed = json.loads(mortal.pushlog("log:replay").stdout)
        assert (verified["holds"], replayed["said"]) == (True, f"Rebuilt from {verified['events']} events")
        [row] = json.loads(mortal.pushlog("log:blame", app, "COLOR", "--format", "json").stdout)
        assert (row["setting"], row["by"]) == ("config COLOR", "local")
        assert f"{app}  config COLOR" in mortal.pushlog("log:diff", "0", str(verified["events"]), app).stdout
        mortal.pushlog("log:rekey")
        assert "No Pushlog instance runs" in mortal.pushlog("config:show", app, check=False).stderr
    finally:
        mortal.up()
    assert mortal.pushlog("config:get", app, "COLOR").stdout == "blue\n"
    assert json.loads(mortal.pushlog("log:replay").stdout)["said"] == "The live state is what the log says"
