"""What the local command does while nothing runs."""

import subprocess
from pathlib import Path

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


def test_a_backup_is_verified_where_there_is_no_instance_and_none_is_made(tmp_path: Path) -> None:
    assert finished(pushlog(tmp_path / "home", "backup:export", str(tmp_path / "b")))[0] == 0
    assert finished(pushlog(tmp_path / "other", "backup:verify", str(tmp_path / "b")))[0] == 0
    assert not (tmp_path / "other").exists()
