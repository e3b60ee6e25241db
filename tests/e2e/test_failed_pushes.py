"""A push that fails changes nothing: the old release serves, the ref stays, and the same commit can be pushed again."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, Poller

Checkouts = Callable[..., Checkout]


@contextmanager
def nothing_changes(source: Checkout, app: str) -> Iterator[None]:
    """Within, the app's visitors, ref, containers and current release stay as they were."""
    instance = source.instance
    ref, containers, current = source.remote_ref(app), ids(instance, app), current_release(instance, app)
    with Poller(instance, app) as visitor:
        yield
    assert not visitor.failures
    assert len(visitor.phases()) == 1
    assert source.remote_ref(app) == ref
    assert ids(instance, app) == containers
    assert current_release(instance, app) == current


def refused(pushed: subprocess.CompletedProcess[str]) -> str:
    """What was said to a pusher whose push was refused as a whole."""
    assert pushed.returncode == 1
    assert "! [remote rejected] main -> main (pre-receive hook declined)" in pushed.stderr
    return pushed.stderr


def test_a_push_whose_requirements_do_not_exist(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared)
    source.push(app)
    source.write("requirements.txt", "no-such-package-as-this==1.0\n")
    source.commit()

    with nothing_changes(source, app):
        said = refused(source.push(app, check=False))

    assert "no-such-package-as-this was not found in the package registry" in said
    assert " !     `/usr/local/bin/uv pip install -r requirements.txt` ended with exit code 1" in said
    assert f" !     See all of it: builds:output {app}" in said
    assert "no-such-package-as-this" in shared.ssh("builds:output", app).stdout
    assert shared.types(app)[-1] == "build.failed"

    source.write("requirements.txt", "")
    source.edit("app.py", "Hello from Python", "Hello again")
    source.commit()
    source.push(app)
    assert shared.get(app).text == "Hello again\n"


@pytest.mark.parametrize(
    ("procfile", "reason"),
    [
        (None, "Procfile: there is none; add one with a line such as"),
        ("web: python3 app.py\nthis is no process\n", 'Procfile:2: "this is no process" is not a process'),
        ("web: python3 app.py\nweb: again\n", "Procfile:2: web stands in line 1 already"),
    ],
    ids=["none", "a bad line", "a doubled line"],
)
def test_a_push_without_a_good_procfile(
    shared: Instance, checkout: Checkouts, app: str, procfile: str | None, reason: str
) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    if procfile is None:
        (source.path / "Procfile").unlink()
    else:
        source.write("Procfile", procfile)
    source.commit()

    with nothing_changes(source, app):
        said = refused(source.push(app, check=False))

    assert f" !     {reason}" in said
    assert shared.types(app)[-1] == "build.failed"
    assert shared.types(app).count("release.created") == 1


def test_a_push_of_no_known_kind(shared: Instance, checkout: Checkouts, app: str) -> None:
    said = refused(checkout(shared, {"Procfile": "web: true\n", "README": "Hello\n"}).push(app, check=False))

    assert "requirements.txt" in said
    assert shared.types(app)[-1] == "build.failed"


def test_a_push_whose_command_is_not_found(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.write("Procfile", "web: ${PROGRAM:-no-such-program} app.py\n")
    source.edit("app.py", "one", "two")
    commit = source.commit()

    with nothing_changes(source, app):
        said = refused(source.push(app, check=False))

    assert "web.1: /bin/bash: line 1: no-such-program: command not found" in said
    assert " !     v2 was not deployed: web.1 exited with code 127" in said
    assert f" !     See what it printed: logs {app}" in said
    assert "no-such-program: command not found" in shared.ssh("logs", app).stdout

    shared.ssh("config:set", app, "PROGRAM=python3")
    assert shared.get(app).text == "one"
    source.push(app)
    assert shared.get(app).text == "two"
    assert source.remote_ref(app) == commit


def test_a_push_that_never_listens(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.write("Procfile", 'web: if [ "$AWAKE" ]; then exec python3 app.py; else echo zzz; sleep 1000; fi\n')
    source.edit("app.py", "one", "two")
    commit = source.commit()

    with nothing_changes(source, app):
        said = refused(source.push(app, check=False))

    assert "web.1: zzz" in said
    limit = shared.environment["PUSHLOG_CHECK_TIMEOUT"]
    reason = f"web.1 did not accept connections on port 5000 within {limit} s; it must listen on $PORT"
    assert f" !     v2 was not deployed: {reason}" in said
    assert f" !     See what it printed: logs {app}" in said

    shared.ssh("config:set", app, "AWAKE=yes")
    source.push(app)
    assert shared.get(app).text == "two"
    assert source.remote_ref(app) == commit


def test_a_push_whose_worker_does_not_stay_up(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    shared.ssh("ps:scale", app, "worker=1")
    source.write("Procfile", ECHO["Procfile"].replace("while true; do echo working; sleep 1; done", "exit 3"))
    source.edit("app.py", "one", "two")
    source.commit()

    with nothing_changes(source, app):
        said = refused(source.push(app, check=False))

    assert " !     v3 was not deployed: worker.1 exited with code 3" in said


def test_a_push_that_nginx_does_not_take(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.edit("app.py", "one", "two")
    commit = source.commit()
    broken = shared.home / "nginx" / "conf.d" / "broken.conf"

    broken.write_text("this is no directive;\n")
    try:
        with nothing_changes(source, app):
            said = refused(source.push(app, check=False))
    finally:
        broken.unlink()

    assert 'nginx refused the configuration: unknown directive "this" in conf.d/broken.conf:1' in said
    assert f" !     See what it printed: logs {app}" in said
    assert shared.types(app)[-2:] == ["route.rejected", "deploy.failed"]

    source.push(app)
    assert shared.get(app).text == "two"
    assert source.remote_ref(app) == commit


def test_a_first_push_that_fails_leaves_an_app_that_can_be_pushed_again(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, ECHO)
    source.write("Procfile", "web: ${PROGRAM:-no-such-program} app.py\n")
    commit = source.commit()

    refused(source.push(app, check=False))

    shared.ssh("apps:exists", app)
    assert source.remote_ref(app) is None
    assert not shared.containers_of(app)
    with pytest.raises(ConnectionError):
        shared.get(app)

    shared.ssh("config:set", app, "PROGRAM=python3")
    source.push(app)
    assert shared.get(app).text == "one"
    assert source.remote_ref(app) == commit


def ids(instance: Instance, app: str) -> set[str]:
    """The containers of an app, in any state."""
    return {made["Id"] for made in instance.containers_of(app)}


def current_release(instance: Instance, app: str) -> list[str]:
    """The release that serves, as `releases` shows it."""
    return [line for line in instance.ssh("releases", app).stdout.splitlines() if "current" in line]
