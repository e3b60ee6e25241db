"""Config, scale and domains reach a running app without a build and without a failed request."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, Poller, wait_for

Checkouts = Callable[..., Checkout]


@pytest.fixture
def echo(shared: Instance, checkout: Checkouts, app: str) -> Checkout:
    """The checkout of an app that runs and answers with its environment."""
    source = checkout(shared, ECHO)
    source.push(app)
    return source


@contextmanager
def no_build(instance: Instance, app: str) -> Iterator[None]:
    """Within, no build runs, and the app's newest release keeps its image."""
    before, image = instance.head(), instance.release(app)["image"]
    yield
    assert not [type_ for type_ in instance.since(before, app) if type_.startswith(("push.", "build."))]
    assert instance.release(app)["image"] == image


def test_config_reaches_the_app_without_a_build_or_a_failed_request(shared: Instance, echo: Checkout, app: str) -> None:
    with no_build(shared, app), Poller(shared, app, "/COLOR") as visitor:
        done = shared.ssh("config:set", app, "COLOR=blue")
        visitor.wait_for("blue")
        shared.ssh("config:set", app, "COLOR=green")
        visitor.wait_for("green")
        shared.ssh("config:unset", app, "COLOR")
        wait_for(lambda: shared.types(app).count("release.retired") == 3, "the old releases' end")

    assert not visitor.failures
    assert visitor.phases() == ["", "blue", "green", ""]
    assert said(done) == [
        "-----> Setting config vars",
        "       COLOR:  blue",
        f"-----> Deploying {app} (v2)",
        "       web=1",
        "       worker=0",
        "=====> Application deployed:",
        f"       http://{app}.localhost:{shared.http_port}",
    ]


def test_config_is_shown_and_got_as_it_was_set(shared: Instance, echo: Checkout, app: str) -> None:
    value = 'it\'s "quoted", $HOME, `id`, ünï; a\\b = c'
    shared.pushlog("config:set", app, "ONE=1", f"TWO={value}")

    assert shared.ssh("config:show", app).stdout == f"ONE:  1\nTWO:  {value}\n"
    assert json.loads(shared.ssh("config:show", app, "--format", "json").stdout) == {"ONE": "1", "TWO": value}
    assert shared.ssh("config:get", app, "TWO").stdout == f"{value}\n"
    assert shared.get(app, "/TWO").text == value


def test_config_survives_a_push(shared: Instance, echo: Checkout, app: str) -> None:
    shared.ssh("config:set", app, "COLOR=blue")
    echo.edit("app.py", "one", "two")
    echo.commit()
    echo.push(app)

    assert shared.get(app).text == "two"
    assert shared.get(app, "/COLOR").text == "blue"


def test_config_that_is_set_before_the_first_push_is_there_from_the_start(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    shared.ssh("apps:create", app)
    shared.ssh("config:set", app, "COLOR=blue")
    shared.ssh("ps:scale", app, "web=2")
    checkout(shared, ECHO).push(app)

    assert shared.get(app, "/COLOR").text == "blue"
    assert len(shared.containers_of(app)) == 2
    assert [row["number"] for row in releases(shared, app)] == [1]


def test_config_without_a_restart_waits_for_the_next_deploy(shared: Instance, echo: Checkout, app: str) -> None:
    done = shared.ssh("config:set", "--no-restart", app, "COLOR=blue")

    assert "       Recorded as v2, not deployed" in said(done)
    assert shared.get(app, "/COLOR").text == ""
    shared.ssh("config:set", app, "SHAPE=round")
    assert shared.get(app, "/COLOR").text == "blue"
    assert shared.get(app, "/SHAPE").text == "round"


def test_config_that_the_app_does_not_start_with_leaves_the_old_release_serving(
    shared: Instance, echo: Checkout, app: str
) -> None:
    with no_build(shared, app), Poller(shared, app, "/MOOD") as visitor:
        broken = shared.ssh("config:set", app, "MOOD=bad", check=False)
        still_there = {made["Config"]["Labels"]["pushlog.release"] for made in shared.containers_of(app)}
        shared.ssh("config:unset", app, "MOOD")

    assert broken.returncode == 1
    assert "       web.1: I do not start in a bad mood" in said(broken)
    assert " !     v2 was not deployed: web.1 exited with code 1" in said(broken)
    assert said(broken)[-1].startswith(" !     The release before goes on serving")
    assert still_there == {"1"}
    assert not visitor.failures
    assert set(visitor.phases()) == {""}
    assert [(row["number"], row["status"]) for row in releases(shared, app)][:2] == [(3, "current"), (2, "failed")]
    assert shared.get(app).text == "one"


def test_releases_are_numbered_and_say_what_changed(shared: Instance, echo: Checkout, app: str) -> None:
    shared.ssh("config:set", app, "A=1", "B=2")
    shared.ssh("ps:scale", app, "web=2")
    shared.ssh("domains:add", app, f"{app}.example.com")
    commit = echo.git("rev-parse", "--short=8", "HEAD").stdout.strip()

    listed = releases(shared, app)
    assert [row["number"] for row in listed] == [4, 3, 2, 1]
    assert [row["change"] for row in listed] == [
        f"Add {app}.example.com",
        "Scale web=2",
        "Set A, B config vars",
        f"Deploy {commit}",
    ]
    assert [row["status"] for row in listed] == ["current", "retired", "retired", "retired"]
    assert all(row["by"] == "tester" for row in listed)
    assert "v4  current" in shared.ssh("releases", app).stdout


def test_an_app_is_scaled_up_and_down_without_a_failed_request(shared: Instance, echo: Checkout, app: str) -> None:
    with no_build(shared, app), Poller(shared, app, "/DYNO") as visitor:
        shared.ssh("ps:scale", app, "web=3")
        first = web_containers(shared, app)
        wait_for(lambda: {"web.1", "web.2", "web.3"} <= set(visitor.phases()), "an answer of each")
        shared.ssh("ps:scale", app, "web=1")
        wait_for(lambda: len(web_containers(shared, app)) == 1, "the end of the others")

    assert not visitor.failures
    assert sorted(first) == ["web.1", "web.2", "web.3"]
    assert web_containers(shared, app)["web.1"] == first["web.1"], "the one that stays is not restarted"
    assert visitor.phases()[-1] == "web.1"


def test_an_app_scaled_to_nothing_answers_502_and_comes_back(shared: Instance, echo: Checkout, app: str) -> None:
    shared.ssh("ps:scale", app, "web=0")

    assert shared.get(app).status == 502
    wait_for(lambda: not shared.containers_of(app), "the container's end")
    assert "Running:                       false" in shared.ssh("ps:report", app).stdout
    assert shared.ssh("ps:scale", app).stdout == "web:     0\nworker:  0\n"

    shared.ssh("ps:scale", app, "web=1")
    assert shared.get(app).text == "one"


def test_scaling_to_what_is_there_says_so_and_makes_no_release(shared: Instance, echo: Checkout, app: str) -> None:
    before = shared.head()
    done = shared.ssh("ps:scale", app, "web=1")

    assert said(done)[-1] == "       Nothing changed by that"
    assert shared.head() == before


def test_an_unknown_process_is_not_scaled(shared: Instance, echo: Checkout, app: str) -> None:
    done = shared.ssh("ps:scale", app, "wep=2", check=False)

    assert done.returncode == 1
    assert f"wep is not in the Procfile of {app}; allowed are web, worker" in done.stderr


def test_the_scale_survives_a_push(shared: Instance, echo: Checkout, app: str) -> None:
    shared.ssh("ps:scale", app, "web=2", "worker=1")
    echo.edit("app.py", "one", "two")
    echo.commit()
    with Poller(shared, app) as visitor:
        echo.push(app)
    assert not visitor.failures
    assert visitor.phases() == ["one", "two"]

    wait_for(lambda: len(shared.containers_of(app)) == 3, "the old containers' end")
    names = {made["Name"] for made in shared.containers_of(app)}
    assert names == {f"/{shared.name}.{app}.{process}" for process in ("web.1", "web.2", "worker.1")}


def test_domains_reach_the_app_without_a_build_or_a_failed_request(shared: Instance, echo: Checkout, app: str) -> None:
    host = f"{app}.example.com"
    with no_build(shared, app), Poller(shared, app) as visitor:
        before = shared.containers_of(app)
        added = shared.ssh("domains:add", app, host, f"www.{host}")
        assert shared.get(host).text == shared.get(f"www.{host}").text == "one"
        shared.ssh("domains:remove", app, f"www.{host}")
        assert shared.get(host).text == "one"
        with pytest.raises(ConnectionError):
            shared.get(f"www.{host}")
        after = shared.containers_of(app)

    assert not visitor.failures
    assert [made["Id"] for made in after] == [made["Id"] for made in before], "nothing is restarted for a domain"
    assert f"       http://{host}:{shared.http_port}" in said(added)
    report = json.loads(shared.ssh("domains:report", app, "--format", "json").stdout)
    assert report["app-vhosts"] == f"{app}.localhost {host}"
    assert shared.ssh("domains:report", app, "--domains-app-vhosts").stdout == f"{app}.localhost {host}\n"


def test_a_domain_of_another_app_is_refused(shared: Instance, echo: Checkout, checkout: Checkouts, app: str) -> None:
    other = f"{app}-other"
    shared.ssh("apps:create", other)
    before = shared.head()

    done = shared.ssh("domains:add", other, f"{app}.localhost", check=False)

    assert done.returncode == 1
    assert done.stderr == f" !     domain: {app}.localhost belongs to the app {app}; remove it there first\n"
    assert shared.head() == before
    assert shared.get(app).text == "one"


def test_settings_that_are_no_names_are_refused_and_change_nothing(shared: Instance, echo: Checkout, app: str) -> None:
    before = shared.head()
    for words in (
        ["config:set", app, "1A=x"],
        ["config:set", app, "PORT=1"],
        ["config:set", app, "novalue"],
        ["config:unset", app, "A-B"],
        ["ps:scale", app, "web=-1"],
        ["ps:scale", app, "web=1=2"],
        ["domains:add", app, "a.com;}"],
        ["domains:add", app, "$host"],
        ["domains:remove", app, "never.example.com"],
    ):
        done = shared.pushlog(*words, check=False)
        assert done.returncode == 1, words
        assert done.stderr.startswith(" !     "), words
        assert "; " in done.stderr, words
    assert shared.head() == before


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a command told of its work."""
    return done.stderr.splitlines()


def releases(instance: Instance, app: str) -> list[dict[str, str]]:
    """`releases`, newest first."""
    return list(json.loads(instance.ssh("releases", app, "--format", "json").stdout))


def web_containers(instance: Instance, app: str) -> dict[str, str]:
    """The ids of an app's web containers by their process."""
    labels = {made["Id"]: made["Config"]["Labels"] for made in instance.containers_of(app)}
    return {f"{of['pushlog.process']}.{of['pushlog.number']}": id_ for id_, of in labels.items()}
