"""The log of a running instance: what a client sends forges no line and fills no disk, and the file is renewed."""

import asyncio
import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import String

from services.ownfile import LIMIT
from services.ownlog import CLIENT_SHARE, LONGEST
from tests.e2e.harness import Instance, passable, started, wait_for

FORGED = b"rsa\n2026-01-01 00:00:00,000 pushlog INFO ready: gitreceiver\r\x1b]0;title\x07\xe2\x80\xa8"
RECORD = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [\w.]+ [A-Z]+ |    ).*")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    folder = tmp_path_factory.mktemp("ownlog")
    passable(folder)
    with started(Instance(folder / "home", f"real-{os.urandom(3).hex()}")) as instance:
        yield instance


def log(instance: Instance) -> Path:
    return instance.home / "pushlog.log"


def sign(instance: Instance, algorithm: bytes, address: str = "127.0.0.1") -> None:
    """A login with a key that is known, and a signature of this algorithm."""

    async def enter() -> None:
        (pair,) = asyncssh.load_keypairs([str(instance.key)])
        pair.sign = lambda data: String(algorithm) + String(b"")  # type: ignore[method-assign]
        await asyncssh.connect(
            "127.0.0.1", instance.ssh_port, username="x", known_hosts=None, config=None, client_keys=[pair],
            local_addr=(address, 0),
        )  # fmt: skip

    with pytest.raises((asyncssh.PermissionDenied, asyncssh.DisconnectError)):
        asyncio.run(enter())


def test_an_algorithm_that_a_client_names_forges_no_line(instance: Instance) -> None:
    sign(instance, FORGED)
    lines = log(instance).read_bytes().decode().split("\n")
    assert all(RECORD.fullmatch(line) and line.isprintable() for line in lines[:-1])
    (said,) = [line for line in lines if "title" in line]
    assert r"signed with rsa\n2026-01-01 00:00:00,000 pushlog INFO ready: gitreceiver\r\x1b]0;title\x07" in said


def test_clients_write_so_much_a_minute_and_hide_no_other_record(instance: Instance) -> None:
    before = log(instance).stat().st_size
    for n in range(24):
        sign(instance, b"\x1b" * 20_000, f"127.0.1.{n // 6}")
    assert log(instance).stat().st_size - before < 4 * (CLIENT_SHARE + 2 * LONGEST)
    words = log(instance).read_text()
    assert "… (20" in words
    assert words.endswith("(more of these are left out for up to 60 s)\n")

    send_too_much(instance)
    assert "disconnected: too much was sent" in log(instance).read_text()


def send_too_much(instance: Instance) -> None:
    """Another place in the code tells of that."""
    with socket.create_connection(("127.0.0.1", instance.ssh_port)) as connection, suppress(ConnectionError):
        connection.sendall(b"SSH-2.0-x\r\n" + bytes(100_000))
        while connection.recv(4096):
            continue


def test_the_file_is_renewed_while_the_instance_runs_and_whoever_follows_it_misses_nothing(instance: Instance) -> None:
    pid, file = instance.pid, log(instance)
    with instance.running(["tail", "-n", "+1", "-s", "0.05", "-F", str(file)]) as tail:
        tail.wait_for_line(file.read_text().splitlines()[-1])  # from here on it follows
        before = told(tail.lines)
        for turn in (1, 2):
            began = file.stat().st_ino
            os.truncate(file, LIMIT + 1)  # as if it had written that much: a hole takes no room
            send_too_much(instance)
            wait_for(lambda began=began: file.stat().st_ino != began, "a new file")
            assert "too much was sent" in file.read_text()
            assert file.with_name(f"pushlog.log.{turn}").stat().st_size == LIMIT + 1
            wait_for(lambda turn=turn: told(tail.lines) == before + turn, "the follower")
    assert instance.pid == pid
    assert {os.readlink(f"/proc/{pid}/fd/{descriptor}") for descriptor in (1, 2)} == {str(file)}
    assert oct(file.stat().st_mode & 0o777) == "0o600"


def told(lines: list[str]) -> int:
    """How many of these lines say that too much was sent."""
    return sum("too much was sent" in line for line in lines)
