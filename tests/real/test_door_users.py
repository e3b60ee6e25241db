"""What somebody with a key can take at the SSH door, how long, and what ends when the key is removed."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import asyncssh
import pytest

from tests.real.doors import Doors, wait_until

SHORT = {
    "sessions": 12,
    "sessions_per_connection": 4,
    "connections": 6,
    "keepalive_seconds": 0.3,
    "input_seconds": 0.8,
    "idle_seconds": 1.6,
    "exchange_seconds": 1.0,
    "exchanges": 1000,
}
IGNORE, CHANNEL_OPEN, CONFIRMED, FAILED = 2, 90, 91, 92
REMOVED = b" !     This key was removed and may not enter any more.\n"


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    """A door with small limits."""
    with closing(Doors(json.dumps({"door": SHORT}))) as doors:
        doors.neighbour = doors.new_key("neighbour")
        yield doors


def connect(doors: Doors, key: Path | None = None):
    """An AsyncSSH client's connection."""
    keys = [str(key or doors.key)]
    return asyncssh.connect("127.0.0.1", doors.port, username="x", known_hosts=None, config=None, client_keys=keys)


@contextmanager
def running(doors: Doors, *command: str, keys: Sequence[Path] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """An ssh that runs in the block, with all its ends piped."""
    argv = doors.ssh_argv(*command, keys=keys)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        try:
            yield client
        finally:
            client.kill()


@contextmanager
def commands(doors: Doors, number: int) -> Iterator[None]:
    """So many commands of the laptop's key that wait for input, each on a connection of its own."""
    with ExitStack() as opened:
        for client in [opened.enter_context(running(doors, "upper")) for _ in range(number)]:
            assert client.stdin
            assert client.stdout
            client.stdin.write(b"a")
            client.stdin.flush()
            assert client.stdout.read(1) == b"A"
        yield


# Shares


def test_one_keys_sessions_leave_room_for_others_and_the_refusal_is_a_sentence(doors):
    async def crowd() -> list[asyncssh.SSHCompletedProcess]:
        async with await connect(doors) as one, await connect(doors) as two:
            for connection in (one, one, one, two, two, two):
                await connection.create_process("upper", encoding=None)
            refused = [await connection.run("upper") for connection in (one, two)]
            done = await asyncio.to_thread(doors.ssh, "whoami", keys=[doors.neighbour])
            assert done.returncode == 0, done.stderr
            return refused

    for refused in asyncio.run(crowd()):
        assert refused.exit_status == 1
        assert refused.stderr == " !     This key has 6 sessions open, which is its share; wait for one to end.\n"
    wait_until(lambda: doors.ssh("whoami").returncode == 0)


def test_channels_are_bounded_also_those_that_ask_for_nothing(doors):
    async def open_many() -> list[int]:
        async with await connect(doors) as connection:
            answers: asyncio.Queue[int] = asyncio.Queue()
            connection.process_packet = lambda kind, *_: kind == IGNORE or answers.put_nowait(kind) or True
            for _ in range(12):
                connection.send_packet(CHANNEL_OPEN, *channel_open())
            return sorted([await asyncio.wait_for(answers.get(), 5) for _ in range(12)])

    assert asyncio.run(open_many()) == [CONFIRMED] * 8 + [FAILED] * 4


def test_beyond_its_share_a_key_loses_its_oldest_connection_that_runs_nothing(doors):
    async def crowd() -> list[bool]:
        held = [await connect(doors) for _ in range(3)]
        busy = await held[0].create_process("upper", encoding=None)
        await asyncio.sleep(1.1)
        async with await connect(doors) as newest:
            assert (await newest.run("whoami")).exit_status == 0
            busy.stdin.write(b"a")
            assert await busy.stdout.read(1) == b"A"
            ended = [one.is_closed() for one in held]
        for one in held:
            one.abort()
        return ended

    assert asyncio.run(crowd()) == [False, True, False]


def test_where_all_its_connections_run_something_the_next_one_is_told_so(doors):
    with commands(doors, 3):
        done = doors.ssh("whoami")
        assert (done.returncode, done.stderr) == (
            1,
            b" !     This key has 3 connections open, which is its share; wait for a command on them to end.\n",
        )
        assert doors.ssh("whoami", keys=[doors.neighbour]).returncode == 0
    wait_until(lambda: doors.ssh("whoami").returncode == 0)


def test_who_sends_many_packets_that_mean_nothing_rests_and_others_are_served():
    with closing(Doors('{"door": {"rest": 25}}')) as doors:
        neighbour = doors.new_key("neighbour")
        began, used = time.monotonic(), processor_seconds(doors)
        asyncio.run(chatter(doors, neighbour))
        assert processor_seconds(doors) - used < 0.15 * (time.monotonic() - began)


async def chatter(doors: Doors, neighbour: Path) -> None:
    """Send 12,000 packets that mean nothing; meanwhile the neighbour is served, and after them so are we."""
    async with await connect(doors) as connection:
        for _ in range(12_000):
            connection.send_packet(IGNORE, asyncssh.packet.String(b""))
        served = await asyncio.to_thread(doors.ssh, "whoami", keys=[neighbour])
        assert served.returncode == 0
        assert (await connection.run("whoami")).exit_status == 0


def processor_seconds(doors: Doors) -> float:
    """What the door's process has used of the processors."""
    fields = Path(f"/proc/{doors.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Time


def test_a_connection_on_which_nothing_runs_is_ended(doors):
    with running(doors, "-N") as client:  # no session
        began = time.monotonic()
        assert client.wait(10) == 255
        assert time.monotonic() - began > 1
        assert client.stderr
        assert b"no command ran for 1.6 seconds" in client.stderr.read()


def test_a_channel_that_asks_for_nothing_is_no_command(doors):
    async def open_and_wait() -> None:
        async with await connect(doors) as connection:
            process = connection.process_packet
            connection.process_packet = lambda kind, *rest: kind == CONFIRMED or process(kind, *rest)
            connection.send_packet(CHANNEL_OPEN, *channel_open())
            await asyncio.wait_for(connection.wait_closed(), 5)

    asyncio.run(open_and_wait())


def channel_open() -> tuple[bytes, ...]:
    """A session's channel."""
    numbers = (0, 1 << 20, 1 << 15)
    return asyncssh.packet.String("session"), *(asyncssh.packet.UInt32(number) for number in numbers)


def test_a_command_that_says_nothing_for_long_is_not_idle_while_its_client_lives(doors, tmp_path):
    with running(doors, "linger", str(tmp_path / "left")) as client:
        assert client.stdout
        assert client.stdout.readline() == b"here\n"
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(SHORT["idle_seconds"] * 2)


def test_a_client_that_answers_no_question_is_given_up(doors, tmp_path):
    with running(doors, "linger", str(tmp_path / "left")) as client:
        assert client.stdout
        assert client.stdout.readline() == b"here\n"
        client.send_signal(signal.SIGSTOP)
        wait_until((tmp_path / "left").exists, 10)


@pytest.mark.parametrize("sent", [b"", b"0000", b"00a40000"])
def test_a_push_that_sends_nothing_more_is_ended_with_a_sentence(doors, sent):
    with running(doors, "git-receive-pack", "half") as client:
        assert client.stdin
        assert client.stderr
        client.stdin.write(sent if sent != b"00a40000" else push_line() + b"0000" + b"PACK\0\0\0\2\0\0\0\3")
        client.stdin.flush()
        began = time.monotonic()
        if sent == b"0000":  # nothing is pushed
            assert client.wait(10) == 0
            return
        assert client.wait(10) == 1
        assert 0.7 < time.monotonic() - began < 5
        assert b" !     input: no byte came for 0.8 seconds; send it again\n" in client.stderr.read()


def push_line(commit: str = "1" * 40) -> bytes:
    line = f"{'0' * 40} {commit} refs/heads/main\0 report-status side-band-64k".encode()
    return f"{len(line) + 4:04x}".encode() + line


def test_a_push_that_waits_for_its_build_is_not_idle(doors, tmp_path):
    doors.git(tmp_path, "init", "-q", "-b", "main")
    doors.git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x")
    doors.decide("hold")
    folder, url = str(tmp_path), doors.url("patient")
    argv = ["git", "-C", folder, "push", "-q", url, "main"]
    env = {"GIT_SSH_COMMAND": " ".join(["ssh", *doors.ssh_options()]), "HOME": str(doors.keys), "PATH": doors.path}
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE) as client:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                client.wait(SHORT["idle_seconds"] * 1.5)
        finally:
            doors.decide("")
        assert client.wait(10) == 0


def test_a_push_whose_client_leaves_its_side_open_is_not_idle_either(doors, tmp_path):
    doors.git(tmp_path, "init", "-q", "-b", "main")
    doors.git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x")
    commit = doors.git(tmp_path, "rev-parse", "HEAD").stdout.strip()
    argv = ["git", "-C", str(tmp_path), "pack-objects", "-q", "--all", "--stdout"]
    pack = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
    doors.decide("hold")
    with running(doors, "git-receive-pack", "open") as client:
        assert client.stdin
        assert client.stdout
        client.stdin.write(push_line(commit) + b"0000" + pack)
        client.stdin.flush()
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                client.wait(SHORT["input_seconds"] * 2)
        finally:
            doors.decide("")
        assert b"unpack ok" in client.stdout.read()
        assert client.wait(10) == 0


def test_a_clone_that_its_client_reads_slowly_is_not_idle(doors, tmp_path):
    doors.git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "large").write_bytes(os.urandom(8 << 20))
    doors.git(tmp_path, "add", "large")
    doors.git(tmp_path, "commit", "-q", "-m", "x")
    doors.git(tmp_path, "push", "-q", doors.url("large"), "main")
    commit = doors.git(tmp_path, "rev-parse", "HEAD").stdout.strip()
    with running(doors, "git-upload-pack", "large") as client:
        assert client.stdin
        assert client.stdout
        client.stdin.write(f"0032want {commit}\n00000009done\n".encode())
        client.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(SHORT["input_seconds"] * 2)
        assert len(client.stdout.read()) > 8 << 20
        assert client.wait(10) == 0


# A key that is removed


def test_what_a_removed_key_has_open_ends_within_a_second_and_nobody_elses(doors, tmp_path):
    key = doors.new_key("gone")
    with (
        running(doors, "linger", str(tmp_path / "left"), keys=[key]) as linger,
        running(doors, "git-receive-pack", "theirs", keys=[key]) as push,
        running(doors, "-N", keys=[key]) as idle,
        running(doors, "upper", keys=[doors.neighbour]) as other,
    ):
        assert linger.stdout
        assert linger.stdout.readline() == b"here\n"
        assert push.stdout
        assert push.stdout.read(4)
        doors.ssh("remove", "gone", keys=[doors.neighbour])
        began = time.monotonic()
        assert [linger.wait(5), push.wait(5), idle.wait(5)] == [1, 1, 255]
        assert time.monotonic() - began < 1
        assert linger.stderr
        assert linger.stderr.read() == REMOVED
        wait_until((tmp_path / "left").exists)
        assert other.communicate(b"b") == (b"B", b"done\n")


def test_who_removes_their_own_key_is_told_that_it_is_done(doors):
    key = doors.new_key("own")
    assert doors.ssh("remove", "own", keys=[key]).returncode == 0
    assert doors.ssh("whoami", keys=[key]).returncode == 255


def test_a_key_that_is_removed_during_its_login_does_not_come_in(doors):
    """The key was found, and is removed before its signature arrives."""
    path = doors.new_key("slow")

    async def enter() -> None:
        pair = asyncssh.load_keypairs([str(path)])[0]
        sign = pair.sign

        def late(data: bytes) -> bytes:
            doors.ssh("remove", "slow", keys=[doors.neighbour])
            return sign(data)

        pair.sign = late
        options = {"username": "x", "known_hosts": None, "config": None, "client_keys": [pair]}
        async with await asyncssh.connect("127.0.0.1", doors.port, **options) as connection:
            done = await connection.run("whoami")
            assert done.exit_status != 0
            await asyncio.wait_for(connection.wait_closed(), 1)

    with pytest.raises((asyncssh.Error, OSError)):
        asyncio.run(enter())


def test_who_reads_nothing_of_what_it_wants_at_once_takes_no_memory(doors):
    async def want_much() -> None:
        async with connect(doors) as connection:
            await connection.create_session(asyncssh.SSHClientSession, "flood 300", encoding=None, window=1 << 30)
            connection._transport.pause_reading()
            for _ in range(5):
                assert (await asyncio.to_thread(doors.ssh, "whoami")).returncode == 0
                assert resident(doors) - before < 64_000
            connection.abort()

    before = resident(doors)
    asyncio.run(want_much())


def resident(doors: Doors) -> int:
    """Kilobytes of the door's process."""
    status = Path(f"/proc/{doors.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])
