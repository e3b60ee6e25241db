"""The files that the local command takes: read, written and opened on its own side."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from services import wire
from tests.unit.test_cli_client import Answer, Platform, echo, everything, finished, pushlog, start  # noqa: F401

Start = Callable[[Answer], Platform]
MUCH = os.urandom(1 << 20) * 5


def test_a_backup_is_sent_from_its_file_whole(tmp_path: Path, start: Start) -> None:  # noqa: F811
    platform = start(echo)
    (tmp_path / "b").write_bytes(MUCH)
    process = pushlog(tmp_path, "backup:import", "--until", "12", str(tmp_path / "b"), "--dry-run")
    assert finished(process) == (3, MUCH, b"said")
    assert platform.hellos[0].argv == ["backup:import", "--until", "12", "--dry-run"]


def test_a_backup_without_a_file_is_the_input(tmp_path: Path, start: Start) -> None:  # noqa: F811
    platform = start(echo)
    process = pushlog(tmp_path, "backup:import", "--until", "12", stdin=subprocess.PIPE)
    assert finished(process, MUCH) == (3, MUCH, b"said")
    assert platform.hellos[0].argv == ["backup:import", "--until", "12"]


def export(code: int) -> Answer:
    """A platform that writes much and ends with `code`."""

    def answer(hello: wire.Hello, stream: BinaryIO, send: Callable[[int, bytes], None]) -> None:
        for at in range(0, len(MUCH), 1 << 20):
            send(wire.STDOUT, MUCH[at : at + (1 << 20)])
        send(wire.EXIT, str(code).encode())

    return answer


def test_an_export_goes_into_its_file_which_only_its_owner_reads(tmp_path: Path, start: Start) -> None:  # noqa: F811
    platform = start(export(0))
    assert finished(pushlog(tmp_path, "backup:export", str(tmp_path / "b"))) == (0, b"", b"")
    assert (tmp_path / "b").read_bytes() == MUCH
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert (platform.hellos[0].argv, platform.hellos[0].tty) == (["backup:export"], False)


def test_an_export_that_fails_leaves_the_last_one_alone(tmp_path: Path, start: Start) -> None:  # noqa: F811
    start(export(1))
    (tmp_path / "b").write_bytes(b"yesterday's")
    assert finished(pushlog(tmp_path, "backup:export", str(tmp_path / "b")))[0] == 1
    assert (tmp_path / "b").read_bytes() == b"yesterday's"
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_an_export_without_a_file_goes_to_stdout(tmp_path: Path, start: Start) -> None:  # noqa: F811
    start(export(0))
    assert finished(pushlog(tmp_path, "backup:export"))[1] == MUCH


@pytest.mark.parametrize("joined", [True, False])
def test_a_passphrase_travels_beside_the_words(tmp_path: Path, start: Start, joined: bool) -> None:  # noqa: F811
    platform = start(lambda hello, stream, send: [everything(stream), send(wire.EXIT, b"0")].clear())
    (tmp_path / "p").write_text("correct horse\n")
    flag = [f"--passphrase-file={tmp_path}/p"] if joined else ["--passphrase-file", f"{tmp_path}/p"]
    (tmp_path / "b").write_bytes(b"x")
    assert finished(pushlog(tmp_path, "backup:verify", *flag, str(tmp_path / "b")))[0] == 0
    assert platform.hellos[0].argv == ["backup:verify"]
    assert platform.hellos[0].passphrase == "correct horse"
    assert "correct horse" not in repr(platform.hellos[0])


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"x" * 5000, b"\xff\xfe", None])
def test_what_is_no_passphrase_is_refused_in_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "p").write_bytes(content)
    code, out, err = finished(pushlog(tmp_path, "backup:export", "--passphrase-file", str(tmp_path / "p")))
    assert (code, out, err.count(b"\n")) == (1, b"", 1)
    assert err.startswith(b" !     --passphrase-file: ")


@pytest.mark.parametrize("words", [("backup:import", "/nope/x"), ("backup:export", "/nope/x"), ("backup:verify", "/")])
def test_a_file_that_cannot_be_had_is_a_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, out, err = finished(pushlog(tmp_path, *words))
    assert (code, out, err.count(b"\n")) == (1, b"", 1)
