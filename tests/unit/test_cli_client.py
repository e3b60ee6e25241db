"""The local command against a platform that is a socket and a script of answers."""

import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from services import wire

DEADLINE = 20
Answer = Callable[[wire.Hello, BinaryIO, Callable[[int, bytes], None]], None]


class Platform:
    """Listens as the platform does and gives each connection to `answer`."""

    def __init__(self, home: Path, answer: Answer) -> None:
        (home / "run").mkdir()
        self.hellos: list[wire.Hello] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(home / "run" / "pushlog.sock"))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            self.hellos.append(wire.read_hello(stream))
            try:
                self._answer(self.hellos[-1], stream, lambda *frame: connection.sendall(wire.encode(*frame)))
            except ConnectionError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(DEADLINE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Answer], Platform]]:
    """Start a platform with the given answer in `tmp_path`."""
    started: list[Platform] = []

    def _start(answer: Answer) -> Platform:
        started.append(Platform(tmp_path, answer))
        return started[-1]

    yield _start
    for platform in started:
        platform.close()


def pushlog(home: Path, *argv: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "cli.client", *argv],
        env={**os.environ, "PUSHLOG_HOME": str(home)},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(process: "subprocess.Popen[bytes]", stdin: bytes | None = None) -> tuple[int, bytes, bytes]:
    out, err = process.communicate(stdin, timeout=DEADLINE)
    return process.returncode, out, err


def everything(stream: BinaryIO) -> bytes:
    """What the client sends, up to the end of its input."""
    data = b""
    while frame := wire.read_frame(stream):
        assert frame[0] == wire.STDIN
        if not frame[1]:
            break
        data += frame[1]
    return data


def echo(hello: wire.Hello, stream: BinaryIO, send: Callable[[int, bytes], None]) -> None:
    """Give the input back, say something, end with 3."""
    send(wire.STDOUT, everything(stream))
    send(wire.STDERR, b"said")
    send(wire.EXIT, b"3")


def test_streams_and_the_exit_code_are_the_commands(tmp_path: Path, start: Callable[[Answer], Platform]) -> None:
    platform = start(echo)
    assert finished(pushlog(tmp_path, "apps:list", "-q")) == (3, b"", b"said")
    assert platform.hellos[0].argv == ["apps:list", "-q"]
    assert not platform.hellos[0].tty


@pytest.mark.parametrize(("columns", "told"), [(0, 80), (132, 132)])
def test_a_terminal_that_does_not_know_its_width_has_80_columns(
    tmp_path: Path, start: Callable[[Answer], Platform], columns: int, told: int
) -> None:
    platform = start(echo)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 25, columns, 0, 0))
    environment = {**os.environ, "PUSHLOG_HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "cli.client", "apps:list"]
    try:
        subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, timeout=DEADLINE, check=False)
    finally:
        os.close(ours)
        os.close(theirs)
    assert platform.hellos[0].tty
    assert platform.hellos[0].columns == told


def test_input_is_sent_to_a_command_that_reads_it(tmp_path: Path, start: Callable[[Answer], Platform]) -> None:
    start(echo)
    process = pushlog(tmp_path, "ssh-keys:add", "me", stdin=subprocess.PIPE)
    assert finished(process, b"x" * 3_000_000) == (3, b"x" * 3_000_000, b"said")


def test_an_input_that_never_ends_holds_up_nothing(tmp_path: Path, start: Callable[[Answer], Platform]) -> None:
    start(lambda hello, stream, send: send(wire.EXIT, b"0"))
    for command in ("apps:list", "ssh-keys:add"):
        process = pushlog(tmp_path, command, stdin=subprocess.PIPE)
        assert process.wait(DEADLINE) == 0
        process.communicate()


def test_other_commands_leave_the_input_to_the_loop_they_stand_in(
    tmp_path: Path, start: Callable[[Answer], Platform]
) -> None:
    start(echo)
    reading, writing = os.pipe()
    os.write(writing, b"next app\n")
    os.close(writing)
    assert finished(pushlog(tmp_path, "url", "hello", stdin=reading)) == (3, b"", b"said")
    assert os.read(reading, 100) == b"next app\n"
    os.close(reading)


def test_a_keys_file_is_read_here_and_sent_as_the_input(tmp_path: Path, start: Callable[[Answer], Platform]) -> None:
    platform = start(echo)
    (tmp_path / "id.pub").write_bytes(b"ssh-ed25519 AAAA")
    code, out, _ = finished(pushlog(tmp_path, "--quiet", "ssh-keys:add", "me", str(tmp_path / "id.pub")))
    assert (code, out) == (3, b"ssh-ed25519 AAAA")
    assert platform.hellos[0].argv == ["--quiet", "ssh-keys:add", "me"]


def test_a_keys_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    code, _, err = finished(pushlog(tmp_path, "ssh-keys:add", "me", str(tmp_path / "nope")))
    assert code == 1
    assert err.startswith(b" !     path: ")
    assert err.count(b"\n") == 1


def test_ctrl_c_ends_with_130(tmp_path: Path, start: Callable[[Answer], Platform]) -> None:
    def wait(hello: wire.Hello, stream: BinaryIO, send: Callable[[int, bytes], None]) -> None:
        send(wire.STDOUT, b"ready\n")
        everything(stream)
        stream.read(1)

    start(wait)
    process = pushlog(tmp_path, "logs", "-t", "hello")
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert finished(process) == (130, b"", b"")


def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path, start: Callable[[Answer], Platform]) -> None:
    def flood(hello: wire.Hello, stream: BinaryIO, send: Callable[[int, bytes], None]) -> None:
        for _ in range(1000):
            send(wire.STDOUT, b"line\n" * 10_000)

    start(flood)
    process = pushlog(tmp_path, "logs", "hello")
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(DEADLINE) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_platform_that_ends_first_is_said(tmp_path: Path, start: Callable[[Answer], Platform]) -> None:
    start(lambda hello, stream, send: [everything(stream)].clear())
    code, _, err = finished(pushlog(tmp_path, "apps:list"))
    assert (code, err) == (1, b" !     The platform ended before the command did; see: pushlog status\n")


@pytest.mark.parametrize("left_over", [False, True])
def test_without_an_instance_it_says_how_to_start_one(tmp_path: Path, left_over: bool) -> None:
    if left_over:
        (tmp_path / "run").mkdir()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "run" / "pushlog.sock"))
    code, out, err = finished(pushlog(tmp_path, "apps:list"))
    assert (code, out) == (1, b"")
    assert err.decode() == f" !     No Pushlog instance runs at {tmp_path}; start it with: pushlog up --detach\n"


@pytest.mark.parametrize("argv", [[], ["help"], ["config:set", "--help"], ["version"]])
def test_help_needs_no_instance(tmp_path: Path, argv: list[str]) -> None:
    code, out, err = finished(pushlog(tmp_path, *argv))
    assert (code, err) == (0, b"")
    assert b"pushlog" in out or b"config:set" in out


def test_a_wrong_command_needs_no_instance_to_be_named(tmp_path: Path) -> None:
    code, _, err = finished(pushlog(tmp_path, "app:list"))
    assert code == 1
    assert b"Did you mean apps:list?" in err


def test_a_command_line_beyond_the_sockets_limit_is_refused(tmp_path: Path) -> None:
    code, _, err = finished(pushlog(tmp_path, "config:set", "hello", "A=" + "x" * wire.MAX_HELLO))
    assert code == 1
    assert f"allowed are at most {wire.MAX_HELLO}".encode() in err


def test_it_starts_without_the_slow_imports() -> None:
    slow = ["pydantic", "click", "nameko", "eventlet", "asyncssh", "docker", "sqlalchemy", "cryptography"]
    script = f"import sys, cli.client; sys.exit(','.join(set({slow}) & set(sys.modules)) or 0)"
    assert subprocess.run([sys.executable, "-c", script], timeout=DEADLINE, check=False).returncode == 0
