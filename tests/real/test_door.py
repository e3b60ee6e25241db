"""The doors as real clients meet them: OpenSSH, AsyncSSH where OpenSSH will not misbehave, and the Unix socket."""

import asyncio
import json
import os
import resource
import socket
import stat
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import asyncssh
import pytest

from services import wire
from tests.real.doors import Doors, wait_until


@pytest.fixture(scope="module")
def doors():
    """A door for all tests here that do not end it."""
    doors = Doors()
    yield doors
    doors.close()


@pytest.fixture
def own_doors():
    """A door of the test's own."""
    doors = Doors()
    yield doors
    doors.close()


def told(done: subprocess.CompletedProcess[bytes]) -> dict:
    """What `whoami` says."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fingerprint(key: Path) -> str:
    return subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], capture_output=True, text=True).stdout.split()[1]


async def connected(doors: Doors, **options):
    """An AsyncSSH client's connection."""
    given = {"client_keys": [str(doors.key)], **options}
    return await asyncssh.connect("127.0.0.1", doors.port, username="x", known_hosts=None, config=None, **given)


# What a command is told


def test_a_command_arrives_as_words_with_who_sent_it_from_where(doors):
    got = told(doors.ssh("whoami", "'a b'", "-l", "dokku"))
    assert got["argv"] == ["whoami", "a b", "-l", "dokku"]
    assert got["line"] == "whoami 'a b' -l dokku"
    assert got["actor"] == f"laptop {fingerprint(doors.key)}"
    assert got["origin"].startswith("127.0.0.1:")
    assert got["tty"] is False


def test_any_ssh_user_name_is_accepted_and_told(doors):
    for user in ("dokku", "pushlog", "root", "ü"):
        assert told(doors.ssh("whoami", options=["-o", f"User={user}"]))["user"] == user


def test_stdin_stdout_stderr_and_the_exit_code_are_the_commands(doors):
    done = doors.ssh("upper", input=b"shout\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"SHOUT\n", b"done\n", 3)


@pytest.mark.parametrize(
    ("line", "reason"),
    [("whoami 'x", b"no closing quotation"), ("   ", b"empty"), ("x" * 8193, b"8193 bytes"), ("whoami x\nid", None)],
)
def test_a_line_that_is_no_command_is_refused_in_one_sentence(doors, line, reason):
    done = doors.ssh(line)
    if reason is None:
        assert told(done)["argv"] == ["whoami", "x", "id"]
    else:
        assert done.returncode == 1
        assert done.stderr.startswith(b" !     command: ")
        assert done.stderr.count(b"\n") == 1
        assert reason in done.stderr


@pytest.mark.parametrize("line", [b"whoami \xff", b"whoami \xed\xb3\xbf"])
def test_bytes_that_are_no_utf8_are_refused_and_the_door_stays_open(doors, line):
    argv = [os.fsencode(word) for word in doors.ssh_argv()]
    assert subprocess.run([*argv, line], capture_output=True, timeout=20).returncode == 255
    assert told(doors.ssh("whoami"))


@pytest.mark.parametrize(("line", "reason"), [("whoami \0", "NUL"), ("x" * 1_000_000, None)])
def test_a_nul_byte_and_a_huge_line_are_refused_and_the_door_stays_open(doors, line, reason):
    async def send():
        async with await connected(doors) as connection:
            return await connection.run(line)

    if reason:
        assert reason in asyncio.run(send()).stderr
    else:  # beyond what a packet of the protocol may hold: the connection ends
        with pytest.raises((asyncssh.Error, OSError)):
            asyncio.run(send())
    assert told(doors.ssh("whoami"))


def test_an_error_inside_shows_no_detail_to_the_client_but_is_logged(doors):
    done = doors.ssh("broken")
    assert done.returncode == 1
    assert done.stderr == b" !     Something went wrong inside Pushlog; its log has the details.\n"
    assert "a secret detail" in doors.log()


def test_there_is_no_shell_but_a_sentence(doors):
    for options in ([], ["-tt"]):
        done = doors.ssh(options=options)
        assert done.returncode == 1
        assert b"has no shell" in done.stdout + done.stderr


# Who may enter


def test_an_unknown_key_is_refused_and_nothing_but_keys_is_offered(doors):
    stranger = doors.new_key("stranger", authorized=False)
    done = doors.ssh("whoami", keys=[stranger])
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr
    methods = "PreferredAuthentications=none,password,keyboard-interactive,hostbased,gssapi-with-mic"
    assert b"Permission denied (publickey)" in doors.ssh("whoami", options=["-o", methods]).stderr


def test_a_key_that_is_only_offered_lends_no_identity(doors):
    admin = doors.new_key("admin")
    admin.unlink()  # its public half can be offered, but nothing can be signed with it
    mine = doors.new_key("mine")
    shown = doors.ssh("whoami", keys=[admin, mine], options=["-v"])
    assert b"Server accepts key" in shown.stderr
    assert told(shown)["actor"] == f"mine {fingerprint(mine)}"
    assert doors.ssh("whoami", keys=[admin]).returncode == 255


def test_a_bad_signature_of_a_known_key_is_refused(doors):
    async def forge():
        key = asyncssh.read_private_key(str(doors.key))
        other = asyncssh.generate_private_key("ssh-ed25519")
        pair = asyncssh.load_keypairs([key])[0]
        pair.sign = lambda data: asyncssh.load_keypairs([other])[0].sign(data)
        async with await connected(doors, client_keys=[pair]):
            return True

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(forge())


def test_after_six_wrong_keys_the_door_hangs_up(doors):
    keys = [doors.new_key(f"wrong{n}", authorized=False) for n in range(8)]
    done = doors.ssh("whoami", keys=[*keys, doors.key])
    assert done.returncode == 255
    assert b"too many authentication failures" in done.stderr


def test_a_key_that_is_removed_opens_no_more_sessions_on_its_open_connection(own_doors):
    path = own_doors.home / "mux"
    options = ["-o", f"ControlPath={path}"]
    master = subprocess.Popen(
        own_doors.ssh_argv(options=[*options, "-M", "-N"]), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    wait_until(path.exists)
    assert told(own_doors.ssh("whoami", options=options))
    (own_doors.home / "authorized").write_text("")
    done = own_doors.ssh("whoami", options=options)
    assert (done.returncode, done.stderr) == (1, b" !     This key was removed and may not enter any more.\n")
    master.terminate()
    master.communicate()


@pytest.mark.parametrize(
    "kind", [["-t", "ed25519"], ["-t", "ecdsa", "-b", "256"], ["-t", "ecdsa", "-b", "521"], ["-t", "rsa", "-b", "2048"]]
)
def test_keys_of_today_are_accepted(doors, kind):
    name = "-".join(kind).strip("-")
    key = doors.new_key(name, kind=kind)
    assert told(doors.ssh("whoami", keys=[key]))["actor"].startswith(f"{name} SHA256:")


@pytest.mark.parametrize(
    ("algorithm", "options", "reason"),
    [
        ("ssh-dss", {}, "is ssh-dss"),
        ("ssh-rsa", {"key_size": 1024}, "is RSA with 1024 bits"),
        ("ecdsa-sha2-1.3.132.0.10", {}, "is ecdsa-sha2-1.3.132.0.10"),
    ],
)
def test_weak_kinds_of_keys_are_refused_and_named_in_the_log(doors, algorithm, options, reason):
    key = asyncssh.generate_private_key(algorithm, **options)
    with (doors.home / "authorized").open("a") as file:
        file.write(f"weak {' '.join(key.export_public_key('openssh').decode().split()[:2])}\n")

    async def enter():
        async with await connected(doors, client_keys=[key], signature_algs="+ssh-dss,ssh-rsa"):
            return True

    with pytest.raises((asyncssh.PermissionDenied, asyncssh.DisconnectError)):
        asyncio.run(enter())
    assert reason in doors.log()


def test_a_sha1_signature_is_refused_and_named_in_the_log(doors):
    path = doors.new_key("sha1", kind=["-t", "rsa", "-b", "2048"])

    async def enter():
        pair = asyncssh.load_keypairs([str(path)])[0]
        pair.set_sig_algorithm(b"ssh-rsa")
        pair.sig_algorithms = (b"ssh-rsa",)
        async with await connected(doors, client_keys=[pair], signature_algs=["ssh-rsa", "ssh-ed25519"]):
            return True

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(enter())
    assert "signed with ssh-rsa, which is refused" in doors.log()


@pytest.mark.parametrize(
    "option",
    [
        "Ciphers=chacha20-poly1305@openssh.com",
        "Ciphers=aes128-cbc,aes256-cbc,3des-cbc",
        "MACs=hmac-sha1,hmac-md5",
        "KexAlgorithms=diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1",
        "HostKeyAlgorithms=ssh-rsa,ecdsa-sha2-nistp256",
    ],
)
def test_algorithms_of_yesterday_are_not_offered(doors, option):
    ciphers = ["-o", "Ciphers=aes128-ctr"] if option.startswith("MACs") else []
    done = doors.ssh("whoami", options=["-v", "-o", option, *ciphers])
    assert done.returncode == 255
    assert b"no matching" in done.stderr


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr"])
def test_algorithms_of_today_are_offered(doors, cipher):
    assert told(doors.ssh("whoami", options=["-o", f"Ciphers={cipher}"]))


def test_the_host_key_is_made_once_and_kept_for_its_owner_only(own_doors):
    path = own_doors.home / "ssh" / "host_ed25519"
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    own_doors.stop()
    own_doors.start()
    assert path.read_bytes() == before
    assert told(own_doors.ssh("whoami"))


# What a connection may not do


def test_no_forwarding_and_no_subsystem_and_the_connection_lives(doors):
    async def try_all():
        async with await connected(doors, agent_forwarding=True) as connection:
            for attempt in (
                connection.open_connection("127.0.0.1", doors.port),
                connection.open_unix_connection("/var/run/docker.sock"),
                connection.open_tun(),
                connection.start_sftp_client(),
                connection.create_session(asyncssh.SSHClientSession, subsystem="netconf"),
            ):
                with pytest.raises(asyncssh.ChannelOpenError):
                    await attempt
            for attempt in (
                connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 1),
                connection.forward_remote_path("/tmp/pushlog-never", "/tmp/x"),
            ):
                with pytest.raises((asyncssh.ChannelListenError, asyncssh.ChannelOpenError)):
                    await attempt
            return await connection.run("whoami")

    assert json.loads(asyncio.run(try_all()).stdout)["argv"] == ["whoami"]


def test_openssh_gets_no_forwarding_no_agent_no_x11_no_sftp_and_no_scp(doors, tmp_path):
    (tmp_path / "x").write_text("x")
    options = ["-A", "-X", "-o", "ForwardAgent=yes", "-R", "0:127.0.0.1:1"]
    assert told(doors.ssh("whoami", options=options))
    strict = [*options, "-o", "ExitOnForwardFailure=yes"]
    assert doors.ssh("whoami", options=strict).returncode == 255
    common = [word if word != "-p" else "-P" for word in doors.ssh_options()]
    for program in (["sftp"], ["scp", "-s"], ["scp", "-O"]):
        files = [str(tmp_path / "x"), "pushlog@127.0.0.1:x"] if program[0] == "scp" else ["pushlog@127.0.0.1"]
        done = subprocess.run([*program, *common, *files], capture_output=True, stdin=subprocess.DEVNULL, timeout=30)
        assert done.returncode != 0


# Terminals


def test_a_terminal_is_a_fact_with_a_width_and_lines_end_as_terminals_want(doors):
    async def on_a_terminal():
        async with await connected(doors) as connection:
            done = await connection.run("whoami", term_type="xterm", term_size=(132, 40), encoding=None)
            return done.stdout

    output = asyncio.run(on_a_terminal())
    assert output.endswith(b"\r\n")
    got = json.loads(output)
    assert (got["tty"], got["columns"]) == (True, 132)


def test_what_is_typed_is_echoed_and_read_line_by_line(doors):
    async def type_keys():
        async with await connected(doors) as connection:
            process = await connection.create_process("upper", term_type="xterm", encoding=None)
            process.stdin.write(b"helo\x7flo\r")
            process.stdin.write(b"\x04")
            return (await process.wait()).stdout

    output = asyncio.run(type_keys())
    assert b"helo\b \blo\r\n" in output
    assert b"HELLO\r\n" in output


def test_ctrl_c_on_a_terminal_ends_the_session_and_not_the_work(doors, tmp_path):
    async def press():
        async with await connected(doors) as connection:
            process = await connection.create_process(f"linger {tmp_path / 'left'}", term_type="xterm", encoding=None)
            await process.stdout.readuntil(b"here")
            process.stdin.write(b"\x03")
            return (await process.wait()).exit_status

    assert asyncio.run(press()) == 130
    wait_until((tmp_path / "left").exists)


# Much, many and gone


def test_a_client_that_hangs_up_does_not_stop_the_work(doors, tmp_path):
    with subprocess.Popen(doors.ssh_argv("linger", str(tmp_path / "left")), stdout=subprocess.PIPE) as client:
        assert client.stdout
        assert client.stdout.readline() == b"here\n"
        client.kill()
    wait_until((tmp_path / "left").exists)
    assert (tmp_path / "left").read_text() == "went on"


def memory(doors: Doors) -> int:
    """Resident kilobytes of the door's process."""
    status = Path(f"/proc/{doors.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_much_input_and_output_flow_without_taking_memory(doors):
    doors.ssh("count", input=b"warm up")
    before = memory(doors)
    assert doors.ssh("count", input=bytes(200_000_000)).stdout == b"200000000\n"
    assert len(doors.ssh("flood", "100").stdout) == 100 << 20
    assert memory(doors) - before < 32_000


def test_input_that_nobody_reads_makes_the_client_wait(doors, tmp_path):
    before = memory(doors)
    argv = doors.ssh_argv("linger", str(tmp_path / "left"))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdin
        os.set_blocking(client.stdin.fileno(), False)
        sent, quiet_since = 0, time.monotonic()
        while time.monotonic() < quiet_since + 1:
            try:
                sent += os.write(client.stdin.fileno(), bytes(65536))
                quiet_since = time.monotonic()
            except BlockingIOError:
                continue
        assert sent < 16_000_000
        assert memory(doors) - before < 32_000
        client.kill()
    wait_until((tmp_path / "left").exists)


def test_output_that_nobody_reads_makes_the_worker_wait_and_others_are_served(doors):
    before = memory(doors)
    with subprocess.Popen(doors.ssh_argv("flood", "500"), stdout=subprocess.PIPE) as client:
        assert client.stdout
        client.stdout.read(1)
        for _ in range(5):
            assert told(doors.ssh("whoami"))
        assert memory(doors) - before < 32_000
        client.kill()


def test_a_hundred_sessions_at_once_are_all_served(doors):
    async def many():
        connections = [await connected(doors) for _ in range(10)]
        processes = [await c.create_process("upper", encoding=None) for c in connections for _ in range(10)]
        for process in processes:
            process.stdin.write(b"x")
        answers = [await process.stdout.read(1) for process in processes]
        for process in processes:
            process.stdin.write_eof()
        codes = [(await process.wait()).exit_status for process in processes]
        for connection in connections:
            connection.close()
        return answers, codes

    assert asyncio.run(many()) == ([b"X"] * 100, [3] * 100)


def test_many_openssh_clients_at_once_are_all_served(doors):
    with ThreadPoolExecutor(24) as pool:
        results = list(pool.map(lambda n: told(doors.ssh("whoami", str(n)))["argv"][1], range(48)))
    assert results == [str(n) for n in range(48)]


def test_a_connection_has_a_limit_of_sessions_and_lives_on(doors):
    async def too_many():
        async with await connected(doors) as connection:
            held = [await connection.create_process("upper", encoding=None) for _ in range(32)]
            refused = await connection.run("upper")
            assert (refused.exit_status, refused.stderr.startswith(" !     This connection has 32 sessions")) == (
                1,
                True,
            )
            for process in held:
                process.stdin.write_eof()
                await process.wait()
            return (await connection.run("whoami")).exit_status

    assert asyncio.run(too_many()) == 0


def test_garbage_instead_of_ssh_leaves_the_door_open(doors):
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(100_000), b"SSH-2.0-x\r\n" + os.urandom(50_000)):
        with socket.create_connection(("127.0.0.1", doors.port)) as connection:
            connection.settimeout(10)
            try:
                connection.sendall(garbage)
                while connection.recv(65536):
                    continue
            except (ConnectionError, TimeoutError):
                continue
    assert told(doors.ssh("whoami"))


def test_a_stop_lets_a_running_command_end(own_doors):
    with subprocess.Popen(own_doors.ssh_argv("upper"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdin
        assert client.stdout
        client.stdin.write(b"a")
        client.stdin.flush()
        assert client.stdout.read(1) == b"A"
        own_doors.process.terminate()
        wait_until(lambda: own_doors.ssh("whoami").returncode == 255)
        client.stdin.write(b"b")
        client.stdin.close()
        assert client.stdout.read() == b"B"
        assert client.wait(10) == 3
    assert own_doors.process.wait(20) == 0


# The local door


class LocalClient:
    """A client of the Unix socket, as the local `pushlog` command is one."""

    def __init__(self, doors: Doors, *argv: str, **more) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(doors.home / "run" / "pushlog.sock"))
        self.stream = self.socket.makefile("rb")
        if argv:
            self.socket.sendall(wire.hello_line(wire.Hello(list(argv), **more)))

    def talk(self, *chunks: bytes) -> tuple[bytes, bytes, int]:
        """Send the input; returns stdout, stderr and the exit code."""
        for chunk in (*chunks, b""):
            self.socket.sendall(wire.encode(wire.STDIN, chunk))
        heard = {wire.STDOUT: b"", wire.STDERR: b"", wire.EXIT: b""}
        while frame := wire.read_frame(self.stream):
            heard[frame[0]] += frame[1]
        self.close()
        return heard[wire.STDOUT], heard[wire.STDERR], int(heard[wire.EXIT] or b"-1")

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


def test_a_local_command_arrives_as_local_with_its_words(doors):
    output, _, code = LocalClient(doors, "whoami", "a b", user="ann", tty=True, columns=99).talk()
    got = json.loads(output)
    assert code == 0
    assert (got["argv"], got["user"], got["actor"], got["origin"]) == (["whoami", "a b"], "ann", "local", "local")
    assert (got["tty"], got["columns"], got["line"]) == (True, 99, "whoami 'a b'")


def test_a_local_commands_streams_and_exit_code_come_back(doors):
    assert LocalClient(doors, "upper").talk(b"one ", b"two") == (b"ONE TWO", b"done\n", 3)
    assert LocalClient(doors, "count").talk(*[bytes(1 << 20)] * 50)[0] == b"52428800\n"


def test_a_local_client_that_hangs_up_does_not_stop_the_work(doors, tmp_path):
    client = LocalClient(doors, "linger", str(tmp_path / "left"))
    assert wire.read_frame(client.stream) == (wire.STDOUT, b"here\n")
    client.close()
    wait_until((tmp_path / "left").exists)


def test_a_local_command_that_does_not_read_its_input_ends_all_the_same(doors):
    assert LocalClient(doors, "whoami").talk(*[b"x" * 1000] * 50)[2] == 0


@pytest.mark.parametrize("opening", [b"\n", b"nonsense\n", b"{}\n", b"\xff" * 70_000, b""])
def test_a_client_that_speaks_otherwise_is_dropped_and_the_next_one_served(doors, opening):
    client = LocalClient(doors)
    client.socket.sendall(opening)
    client.socket.shutdown(socket.SHUT_WR)
    with pytest.raises((ConnectionError, AssertionError)):
        assert client.stream.read(1)
    client.close()
    assert LocalClient(doors, "upper").talk(b"x")[2] == 3


def test_no_line_that_a_local_client_sends_ends_the_door_or_another_clients_command(doors):
    other = LocalClient(doors, "upper")
    nested = b'{"argv": ' + b"[" * 30_000 + b"]" * 30_000 + b"}\n"
    numbers = b'{"argv": ["whoami"], "columns": ' + b"9" * 5000 + b"}\n"
    halves = b'{"argv": ["whoami"], "user": "\\ud800", "passphrase": "\\udfff"}\n'
    frames = b'{"argv": ["whoami"]}\n' + b"\x00\xff\xff\xff\xff"
    for opening in (nested, numbers, halves, frames, b'{"argv": ["whoami"]', b"\0" * 100):
        client = LocalClient(doors)
        client.socket.sendall(opening)
        client.socket.shutdown(socket.SHUT_WR)
        client.stream.read()
        client.close()
    assert other.talk(b"on") == (b"ON", b"done\n", 3)
    assert LocalClient(doors, "upper").talk(b"x")[2] == 3
    assert doors.ssh("upper", input=b"x").returncode == 3


def test_a_local_client_that_sends_its_line_byte_by_byte_is_hung_up_on(doors):
    client = LocalClient(doors)
    client.socket.settimeout(0.2)
    began = time.monotonic()
    with suppress(ConnectionError):
        while time.monotonic() - began < 20:
            client.socket.sendall(b" ")
            with suppress(TimeoutError):
                if not client.socket.recv(1):
                    break
    assert time.monotonic() - began < 10
    client.close()


def test_the_local_door_goes_on_when_there_were_too_many_open_files(own_doors):
    limit = resource.prlimit(own_doors.process.pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{own_doors.process.pid}/fd").iterdir()))
    resource.prlimit(own_doors.process.pid, resource.RLIMIT_NOFILE, (used + 4, limit[1]))
    crowd = [LocalClient(own_doors) for _ in range(12)]
    wait_until(lambda: "local door: [Errno 24]" in own_doors.log())
    for client in crowd:
        client.close()
    assert LocalClient(own_doors, "upper").talk(b"x")[2] == 3


def test_a_frame_that_is_cut_off_ends_the_input(doors):
    client = LocalClient(doors, "count")
    client.socket.sendall(struct.pack(">BI", wire.STDIN, 100) + b"only this")
    client.socket.shutdown(socket.SHUT_WR)
    client.close()
    assert LocalClient(doors, "upper").talk(b"x")[2] == 3


def test_no_words_and_bad_words_are_refused(doors):
    client = LocalClient(doors)
    client.socket.sendall(b'{"argv": []}\n')
    assert client.talk() == (b"", b" !     command: empty; try `help`\n", 1)
    assert b"NUL" in LocalClient(doors, "whoami", "\0").talk()[1]
    client = LocalClient(doors)
    client.socket.sendall(b'{"argv": ["whoami", "\\udcff"]}\n')
    assert b"not UTF-8" in client.talk()[1]


def test_the_socket_is_for_its_owner_only(doors):
    assert stat.S_IMODE((doors.home / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((doors.home / "run" / "pushlog.sock").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_refused_even_where_the_socket_can_be_reached(own_doors):
    for path, mode in ((own_doors.home, 0o755), (own_doors.home / "run", 0o755)):
        path.chmod(mode)
    (own_doors.home / "run" / "pushlog.sock").chmod(0o666)
    program = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
        "s.connect(sys.argv[1]); s.sendall(b'{\"argv\": [\"whoami\"]}\\n'); f = s.makefile('rb'); print(f.read())"
    )
    socket_path = str(own_doors.home / "run" / "pushlog.sock")
    done = subprocess.run([sys.executable, "-c", program, socket_path], capture_output=True, text=True, timeout=20)
    assert "Only root and the user who runs Pushlog" in done.stdout
    assert "laptop" not in done.stdout
