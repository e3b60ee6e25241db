"""What a key has under way when it is removed."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.apps import SLOW
from tests.e2e.harness import Checkout, Instance, Running, wait_for

REMOVED = "This key was removed and may not enter any more."


def test_a_removed_keys_sessions_end_within_a_second_and_record_nothing_more(
    shared: Instance, checkout: Callable[..., Checkout], app: str, tmp_path: Path
) -> None:
    key = tmp_path / "ann"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    shared.ssh("ssh-keys:add", f"ann-{app}", input=key.with_suffix(".pub").read_text())
    source = checkout(shared, SLOW)
    push = ["git", "push", shared.url(app), "main"]

    with (
        shared.running(shared.ssh_argv("events", "-t", key=key)) as follow,
        shared.running(push, source.path) as first,
    ):
        first.wait_for_line("Installing dependencies")
        source.commit("another")
        second = Running(push, with_key(shared, key), source.path)
        second.wait_for_line("Waiting for the push")
        shared.pushlog("ssh-keys:remove", f"ann-{app}")
        began = time.monotonic()
        assert [follow.wait(), second.wait()] == [1, 128]
        assert time.monotonic() - began < 1
        assert any(REMOVED in line for line in follow.lines)
        assert any(REMOVED in line for line in second.lines)
        assert first.wait() == 0

    wait_for(lambda: refused(shared, f"ann-{app}"), "the refusal of the push that waited")
    events = shared.events(app)
    assert [event["type"] for event in events if event["actor"].startswith("ann-")] == []
    assert [event["type"] for event in events].count("push.received") == 1


def refused(instance: Instance, actor: str) -> bool:
    """Whether it is recorded that the actor was refused because of the removal."""
    return any(REMOVED in e["data"]["reason"] for e in instance.events("--type", "command.refused", "--actor", actor))


def with_key(instance: Instance, key: Path) -> dict[str, str]:
    """The environment of somebody with another key."""
    ssh = instance.environment["GIT_SSH_COMMAND"].replace(str(instance.key), str(key))
    return {**instance.environment, "GIT_SSH_COMMAND": ssh}
