"""What a push keeps on the disk: its objects. Its tree as a tar is there while it is built, and no longer."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, Runs, below, size, wait_for

Checkouts = Callable[..., Checkout]

LARGE = {**ECHO, **{f"zeros-{number}": "\0" * (16 << 20) for number in range(4)}}
"""A tree of 64 MiB, whose pack has a few kilobytes."""
PUSH = "push.received"


def pushed(instance: Instance, app: str) -> dict[str, str]:
    """The data of an app's last push."""
    found: dict[str, str] = [event["data"] for event in instance.events(app) if event["type"] == PUSH][-1]
    return found


def test_a_small_push_of_a_large_tree_whose_build_fails_leaves_no_blob(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, {name: text for name, text in LARGE.items() if name != "Procfile"})
    before = size(shared.home / "blobs")

    said = source.push(app, check=False).stderr

    assert "Procfile: there is none" in said
    wait_for(lambda: not list((shared.home / "blobs" / "sources").iterdir()), "the end of the tar")
    assert size(shared.home / "blobs") - before < 1 << 20
    assert size(shared.home / "repositories" / f"{pushed(shared, app)['app']}.git") < 1 << 20


def test_a_push_that_serves_keeps_its_pack_and_no_tar(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, LARGE)
    source.push(app)

    push = pushed(shared, app)
    assert push["tree"] == source.git("rev-parse", "HEAD^{tree}").stdout.strip()
    assert push["source"] is None
    packs = (shared.home / "repositories" / f"{push['app']}.git" / "objects" / "pack").glob("*.pack")
    assert push["pack"] in {f"sha256:{hashlib.sha256(pack.read_bytes()).hexdigest()}" for pack in packs}
    wait_for(lambda: not list((shared.home / "blobs" / "sources").iterdir()), "the end of the tar")


def test_a_push_of_what_is_stored_already_has_no_pack(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.edit("app.py", "one", "two")
    source.commit()
    source.push(app, "main:stored")
    source.push(app)

    assert pushed(shared, app)["pack"] is None
    assert shared.get(app).text == "two"


def test_nothing_of_an_app_remains_that_was_destroyed_for_good(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    (source.path / "Procfile").unlink()
    source.commit()
    source.push(app, check=False)
    id_ = pushed(shared, app)["app"]

    shared.ssh("apps:destroy", app, "--force", "--now")

    wait_for(lambda: not [path for path in below(shared.home) if id_ in path.name], "the end of its files")


@pytest.fixture(scope="module")
def tight(running: Runs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance whose apps may keep 2 MiB each, and those of one key 3 MiB."""
    settings = {"APP_LIMIT": str(2 << 20), "KEY_LIMIT": str(3 << 20)}
    with running(tmp_path_factory.mktemp("tight"), f"e2e-{os.getpid()}-tight", settings) as instance:
        yield instance


def repositories(instance: Instance) -> set[str]:
    """The repositories of an instance."""
    return {path.name for path in (instance.home / "repositories").glob("[0-9a-f]*.git")}


def test_what_an_app_and_a_key_may_keep_is_bounded_and_another_key_goes_on(
    tight: Instance, checkout: Checkouts, tmp_path: Path
) -> None:
    source = checkout(tight, {"README": "Random bytes\n"})

    def tag(name: str) -> None:
        """A tag is stored and deploys nothing."""
        (source.path / "random").write_bytes(os.urandom(3 << 19))
        source.commit(name)
        source.git("tag", name)

    tag("first")
    source.push("one", "first")
    tag("second")
    said = source.push("one", "second", check=False)
    assert (said.returncode, "app: one keeps 3" in said.stderr) == (1, True), said.stderr
    assert "more than 2 MiB (PUSHLOG_APP_LIMIT); push less, delete branches and wait a minute" in said.stderr
    assert source.remote_ref("one", "refs/tags/second") is None
    before = repositories(tight)
    said = source.push("two", "first", check=False)
    assert "more than 3 MiB (PUSHLOG_KEY_LIMIT); push less, destroy one with --now" in said.stderr
    wait_for(lambda: repositories(tight) == before, "the end of the repository of the app that was not created")

    key = tmp_path / "bob"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    tight.pushlog("ssh-keys:add", "bob", input=key.with_suffix(".pub").read_text())
    ssh = tight.environment["GIT_SSH_COMMAND"].replace(str(tight.key), str(key))
    bobs = {**tight.environment, "GIT_SSH_COMMAND": ssh}
    push = ["git", "push", tight.url("bobs"), "first"]
    done = subprocess.run(push, cwd=source.path, env=bobs, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

    tight.ssh("apps:destroy", "one", "--force", "--now")
    wait_for(lambda: repositories(tight).isdisjoint(before), "the end of its repository")
    source.push("two", "first")
