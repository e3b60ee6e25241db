"""Going back: rollback of code and settings as one, and the way back from a destroyed app."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, docker, wait_for

Checkouts = Callable[..., Checkout]


def test_a_rollback_brings_code_config_scale_and_domains_back_as_one(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    shared.ssh("config:set", app, "COLOR=blue")
    shared.ssh("config:set", app, "COLOR=red", "SHAPE=round")
    shared.ssh("ps:scale", app, "web=2")
    shared.ssh("domains:add", app, f"{app}.example.com")
    source.edit("app.py", "one", "two")
    source.commit()
    source.push(app)

    head = shared.head()
    rehearsed = shared.ssh("rollback", app, "v2", "--dry-run")
    assert f"-----> Rolling back {app} to v2\n" in rehearsed.stderr
    assert "release.created" in rehearsed.stdout
    assert shared.head() == head
    done = shared.ssh("rollback", app, "v2")

    assert f"-----> Rolling back {app} to v2\n" in done.stderr
    said = [line.split(None, 1) for line in done.stderr.splitlines()]
    assert ["config:", "set COLOR; unset SHAPE"] in said
    assert ["scale:", "web 2 → 1"] in said
    assert ["domains:", f"remove {app}.example.com"] in said
    assert "red" not in done.stderr
    assert "=====> Application deployed:" in done.stderr
    assert (shared.get(app).text, shared.get(app, "/COLOR").text, shared.get(app, "/SHAPE").text) == ("one", "blue", "")
    assert shared.ssh("config:show", app).stdout == "COLOR:  blue\n"
    assert shared.ssh("ps:scale", app).stdout.splitlines()[0].split() == ["web:", "1"]
    assert f"{app}.example.com" not in shared.ssh("domains:report", app, "--domains-app-vhosts").stdout
    wait_for(lambda: len(shared.containers_of(app)) == 1, "the second web process's end")
    info = json.loads(shared.ssh("releases:info", app, "--format", "json").stdout)
    assert (info["number"], info["change"], info["config"]) == ("7", "Rollback to v2", "COLOR")
    assert info["commit"] == shared.release(app)["commit"]
    again = shared.ssh("rollback", app, "v7", check=False)
    assert (again.returncode, again.stderr) == (1, f" !     rollback: v7 is what {app} has; nothing to change\n")


def test_a_rollback_that_does_not_come_up_leaves_what_serves(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.edit("app.py", "one", "two")
    source.commit()
    source.push(app)
    image = next(e["data"]["image"] for e in shared.events(app) if e["type"] == "release.created")
    wait_for(lambda: len(shared.containers_of(app)) == 1, "the old container's end")
    shared.ssh("config:set", app, "MOOD=bad", check=False)  # it is kept for the next release

    done = shared.ssh("rollback", app, "v1", "--keep", "config", check=False)

    assert image in docker("images", "-q", "--no-trunc")
    assert done.returncode == 1
    assert "was not deployed" in done.stderr
    assert shared.get(app).text == "two"
    statuses = [row["status"] for row in json.loads(shared.ssh("releases", app, "--format", "json").stdout)]
    assert statuses == ["failed", "failed", "current", "retired"]


def test_a_destroyed_app_is_had_back_and_answers_with_its_config(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    shared.ssh("config:set", app, "COLOR=blue")
    shared.ssh("domains:add", app, f"{app}.example.com")
    shared.get(app, "/say/something")

    position = undo_of(shared.ssh("apps:destroy", app, "--force").stderr)
    assert shared.ssh("apps:exists", app, check=False).returncode == 20
    wait_for(lambda: not shared.containers_of(app), "the containers' end")
    done = shared.ssh("log:undo", position)

    assert f"-----> Undoing apps:destroy {app} --force\n" in done.stderr
    assert "=====> Application deployed:" in done.stderr
    assert (shared.get(app).text, shared.get(app, "/COLOR").text) == ("one", "blue")
    assert shared.get(f"{app}.example.com").text == "one"
    assert "something" in shared.ssh("logs", app).stdout
    assert Checkout.clone(app, source.path.parent / "clone", shared).git("log", "--oneline").stdout
    source.edit("app.py", "one", "two")
    source.commit()
    source.push(app)
    assert shared.get(app).text == "two"
    again = shared.ssh("log:undo", position, check=False)
    assert (again.returncode, again.stderr) == (1, f" !     app: {app} was restored since; see: events {app}\n")


def test_an_app_that_is_destroyed_while_it_is_deployed_and_had_back_serves_what_was_pushed(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.edit("app.py", "one", "two")
    source.commit()
    with ThreadPoolExecutor(1) as pushing:
        pushing.submit(source.push, app, check=False)
        wait_for(lambda: shared.types(app).count("deploy.started") == 2, "the second deploy")
        position = undo_of(shared.ssh("apps:destroy", app, "--force").stderr)
        shared.ssh("log:undo", position)
    wait_for(lambda: says(shared, app) == "two", "what was pushed to serve")
    wait_for(lambda: len(shared.containers_of(app)) == 1, "the old containers' end")
    assert "deploy.failed" not in shared.types(app)


def test_what_is_shredded_comes_back_no_more_and_leaves_nothing(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    checkout(shared, ECHO).push(app)
    uuid = shared.events(app)[0]["data"]["app"]

    shared.ssh("apps:destroy", app, "--now", "--force")

    position = next(e["position"] for e in shared.events(app) if e["type"] == "app.destroyed")
    refused = shared.ssh("log:undo", str(position), check=False)
    assert refused.returncode == 1
    assert f"app: {app} was shredded" in refused.stderr
    wait_for(lambda: not docker("images", "-q", f"{shared.name}/{uuid}").split(), "the images' end")
    wait_for(lambda: not list(shared.home.glob(f"repositories/*{uuid}*")), "the repository's end")
    wait_for(lambda: not (shared.home / "logs" / uuid).exists(), "the end of what it printed")


def says(instance: Instance, app: str) -> str:
    """What an app answers; empty while it answers nothing."""
    try:
        return instance.get(app).text
    except OSError:
        return ""


def undo_of(said: str) -> str:
    """The position that a command says to undo it by."""
    return said.rpartition("log:undo ")[2].strip()


def test_images_of_six_releases_are_kept_and_an_older_one_is_had_back_all_the_same(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    shared.ssh("ps:scale", app, "web=0")
    for number in range(6):
        source.write("version", str(number))
        source.commit()
        source.push(app)
    made = [event["data"]["image"] for event in shared.events(app) if event["type"] == "build.succeeded"]
    wait_for(lambda: len(kept(shared, app)) == 6, "the end of what no release needs")
    assert kept(shared, app) == set(made[-6:])
    wait_for(lambda: shared.ssh("cleanup").stdout == "", "nothing more to clean up")
    owners = {row["owner"]: row for row in json.loads(shared.ssh("doctor", "disk", "--format", "json").stdout)}
    assert owners[app]["images"] > 0
    assert owners[app]["repository"] > 0

    shared.ssh("rollback", app, "v1")

    assert shared.get(app).text == "one"


def kept(instance: Instance, app: str) -> set[str]:
    """The ids of an app's own images."""
    uuid = instance.events(app)[0]["data"]["app"]
    return set(docker("images", "-q", "--no-trunc", f"{instance.name}/{uuid}").split())
