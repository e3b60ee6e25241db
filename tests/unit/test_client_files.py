"""The files that the local command takes: read, written and opened on its own side."""

import os
import pty
import select
import signal
import subprocess
import sys
import threading
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_export_that_is_ended_leaves_nothing_of_its_file(
    tmp_path: Path,
    start: Start,  # noqa: F811
    number: int,
    code: int,
) -> None:
    under_way = threading.Event()

    def endless(hello: wire.Hello, stream: BinaryIO, send: Callable[[int, bytes], None]) -> None:
        send(wire.STDOUT, b"x")
        under_way.set()
        stream.read()

    start(endless)
    process = pushlog(tmp_path, "backup:export", str(tmp_path / "b"))
    assert under_way.wait(20)
    process.send_signal(number)
    assert finished(process)[0] == code
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


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


@pytest.mark.parametrize("words", [("backup:verify", "a", "b"), ("ssh-keys:add", "anna", "a", "b")])
def test_a_second_file_is_a_word_too_many(tmp_path: Path, words: tuple[str, ...]) -> None:
    told = f" !     {words[0]}: a word too many; see: pushlog help {words[0]}\n".encode()
    assert finished(pushlog(tmp_path, *words)) == (1, b"", told)


def test_a_passphrases_file_must_be_named(tmp_path: Path) -> None:
    told = b" !     --passphrase-file: names no file; allowed is a text file\n"
    assert finished(pushlog(tmp_path, "backup:export", "--passphrase-file")) == (1, b"", told)


@pytest.mark.parametrize("words", [("backup:import", "/nope/x"), ("backup:export", "/nope/x"), ("backup:verify", "/")])
def test_a_file_that_cannot_be_had_is_a_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, out, err = finished(pushlog(tmp_path, *words))
    assert (code, out, err.count(b"\n")) == (1, b"", 1)


@pytest.mark.parametrize("words", [("backup:import",), ("backup:export",), ("ssh-keys:add", "anna")])
@pytest.mark.parametrize("path", ["/tmp", "nope/", ""])
def test_a_folder_is_no_file(tmp_path: Path, words: tuple[str, ...], path: str) -> None:
    code, out, err = finished(pushlog(tmp_path, *words, path))
    assert (code, out, err.count(b"\n")) == (1, b"", 1)
    assert err.startswith(f" !     path: {path} cannot be ".encode())


def test_an_export_to_a_device_or_a_pipe_is_written_there_and_replaces_nothing(
    tmp_path: Path,
    start: Start,  # noqa: F811
) -> None:
    start(export(0))
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    assert finished(pushlog(tmp_path, "backup:export", str(tmp_path / "pipe")))[0] == 0
    reader.join()
    assert read == [MUCH]
    assert (tmp_path / "pipe").is_fifo()
    assert finished(pushlog(tmp_path, "backup:export", "/dev/stdout"))[1] == MUCH


def test_an_export_to_what_a_link_names_leaves_the_link(tmp_path: Path, start: Start) -> None:  # noqa: F811
    start(export(0))
    (tmp_path / "latest").symlink_to("monday")
    assert finished(pushlog(tmp_path, "backup:export", str(tmp_path / "latest")))[0] == 0
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "monday").read_bytes() == MUCH


@pytest.mark.parametrize("question", [("--help", "backup:export"), ("backup:export", "-h")])
def test_the_answer_to_a_question_does_not_replace_a_backup(tmp_path: Path, question: tuple[str, ...]) -> None:
    (tmp_path / "b").write_bytes(b"yesterday's")
    assert b"backup:export" in b"".join(finished(pushlog(tmp_path, *question, str(tmp_path / "b")))[1:])
    assert (tmp_path / "b").read_bytes() == b"yesterday's"


def test_output_that_cannot_be_written_is_a_sentence(tmp_path: Path, start: Start) -> None:  # noqa: F811
    start(export(0))
    with open("/dev/full", "wb") as full:
        argv = [sys.executable, "-m", "cli.client", "backup:export"]
        done = subprocess.run(
            argv, env=os.environ | {"PUSHLOG_HOME": str(tmp_path)}, stdout=full, stderr=subprocess.PIPE
        )
    assert (done.returncode, done.stderr) == (1, b" !     stdout: cannot be written (No space left on device)\n")


def test_a_dash_is_stdin_or_stdout(tmp_path: Path, start: Start) -> None:  # noqa: F811
    platform = start(echo)
    assert finished(pushlog(tmp_path, "backup:verify", "-", stdin=subprocess.PIPE), b"x") == (3, b"x", b"said")
    assert finished(pushlog(tmp_path, "backup:export", "-")) == (3, b"", b"said")
    assert [hello.argv for hello in platform.hellos] == [["backup:verify"], ["backup:export"]]


def test_a_name_in_two_words_takes_a_file_too(tmp_path: Path, start: Start) -> None:  # noqa: F811
    platform = start(echo)
    (tmp_path / "b").write_bytes(b"x")
    assert finished(pushlog(tmp_path, "--quiet", "backup", "verify", str(tmp_path / "b"))) == (3, b"x", b"said")
    assert platform.hellos[0].argv == ["--quiet", "backup:verify"]


def test_a_terminal_is_not_waited_for_as_an_archive(tmp_path: Path, start: Start) -> None:  # noqa: F811
    start(echo)
    here, there = pty.openpty()
    code, out, err = finished(pushlog(tmp_path, "backup:import", stdin=there))
    assert (code, out) == (1, b"")
    assert err == b" !     backup: a terminal holds no archive; allowed are a FILE, a pipe and a redirection\n"
    for descriptor in (here, there):
        os.close(descriptor)


def test_a_terminal_is_told_how_much_of_an_export_was_written(tmp_path: Path, start: Start) -> None:  # noqa: F811
    def slowly(hello: wire.Hello, stream: BinaryIO, send: Callable[[int, bytes], None]) -> None:
        send(wire.STDOUT, MUCH)
        while b"5.0 MiB written" not in said:
            said.extend(os.read(here, 1000) if select.select([here], [], [], 0)[0] else b"")
            send(wire.STDOUT, b"")
        send(wire.STDERR, b" !     mind\n")
        send(wire.EXIT, b"0")

    here, there = pty.openpty()
    said = bytearray()
    start(slowly)
    argv = [sys.executable, "-m", "cli.client", "backup:export", str(tmp_path / "b")]
    assert (
        subprocess.run(argv, env={**os.environ, "PUSHLOG_HOME": str(tmp_path)}, stderr=there, timeout=20).returncode
        == 0
    )
    said += os.read(here, 1000)
    assert b"5.0 MiB written\x1b[K" in said
    assert said.endswith(b"\r\x1b[K !     mind\r\n")
    for descriptor in (here, there):
        os.close(descriptor)
