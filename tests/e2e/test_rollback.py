"""Going back: rollback of code and settings as one, and the way back from a destroyed app."""

import json
from collections.abc import Callable

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
