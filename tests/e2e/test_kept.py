"""What a push keeps on the disk: its objects. Its tree as a tar is there while it is built, and no longer."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, wait_for

Checkouts = Callable[..., Checkout]

LARGE = {**ECHO, **{f"zeros-{number}": "\0" * (16 << 20) for number in range(4)}}
"""A tree of 64 MiB, whose pack has a few kilobytes."""
PUSH = "push.received"


def size(folder: Path) -> int:
    """The bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


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

    wait_for(lambda: not [path for path in shared.home.rglob("*") if id_ in path.name], "the end of its files")
