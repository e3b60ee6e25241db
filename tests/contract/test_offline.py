"""What the local command does while nothing runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.test_cli_client import finished, pushlog


def test_the_first_key_can_be_added_while_nothing_runs_from_a_file_too(tmp_path: Path) -> None:
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    code, out, err = finished(pushlog(tmp_path / "home", "ssh-keys:add", "ann", f"{key}.pub"))
    assert (code, err) == (0, b"")
    assert out.startswith(b"SHA256:")
    archive = tmp_path / "b"
    assert finished(pushlog(tmp_path / "home", "backup:export", str(archive)))[0] == 0
    code, out, _ = finished(pushlog(tmp_path / "other", "backup:verify", str(archive), "--format", "json"))
    assert code == 0
    assert b'"events": "1"' in out


@pytest.mark.parametrize("reads", [0, 100])
def test_a_reader_that_has_enough_of_a_backup_ends_it_without_a_word(tmp_path: Path, reads: int) -> None:
    with pushlog(tmp_path / "home", "backup:export") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(reads)
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 141)


@pytest.mark.parametrize("line", [("log:undo", "9" * 5000), ("log:undo", "9" * 19), ("log:undo", "0"),
                                  ("log:verify", "--head", "9" * 5000 + ":" + "a" * 64)])  # fmt: skip
def test_a_position_that_no_log_has_is_refused_in_a_sentence(tmp_path: Path, line: tuple[str, ...]) -> None:
    code, out, err = finished(pushlog(tmp_path / "home", *line))
    assert (code, out) == (1, b"")
    assert re.fullmatch(rb' !     (position|head): "\d{1,80}.{0,3}" is not one; allowed .{1,80}\n', err, re.DOTALL), err


@pytest.mark.parametrize("command", ["backup:export", "log:verify", "help"])
def test_output_that_cannot_be_written_is_a_sentence(tmp_path: Path, command: str) -> None:
    argv, environment = [sys.executable, "-m", "cli.client", command], {**os.environ, "PUSHLOG_HOME": str(tmp_path)}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(argv, env=environment, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b" !     output: cannot be written (No space left on device)\n")


def test_a_home_that_cannot_be_made_is_a_sentence() -> None:
    for command in (["log:verify"], ["up", "--detach"], ["up"]):
        code, out, err = finished(pushlog(Path("/proc/nope"), *command))
        assert (code, out, err.count(b"\n")) == (1, b"", 1)
        assert err.startswith(b" !     PUSHLOG_HOME: /proc/nope cannot be used (")


def test_a_backup_is_verified_where_there_is_no_instance_and_none_is_made(tmp_path: Path) -> None:
    assert finished(pushlog(tmp_path / "home", "backup:export", str(tmp_path / "b")))[0] == 0
    assert finished(pushlog(tmp_path / "other", "backup:verify", str(tmp_path / "b")))[0] == 0
    assert not (tmp_path / "other").exists()
