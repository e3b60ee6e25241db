"""What somebody without a key can do at the SSH door: raw sockets, and clients that follow no rule."""

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import asyncssh
import pytest
from asyncssh.packet import Boolean, String

from tests.real.doors import Doors, wait_until

USERAUTH_REQUEST, FAILURE, IGNORE, UNASSIGNED = 50, 51, 2, 25
TOO_MUCH = "too much was sent before the login"
CUT_OFF = ("reset by peer", "Broken pipe")
"""What a client sees that still sends when the door ends the connection."""
SHORT = {
    "logins": 12,
    "logins_per_address": 6,
    "exchange_seconds": 0.6,
    "login_seconds": 1.5,
    "exchanges": 40,
    "exchanges_per_second": 20,
    "exchange_wait": 1,
    "failure_cost": 1,
}


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    """A door with the limits of today."""
    with closing(Doors()) as doors:
        yield doors


@pytest.fixture(scope="module")
def short_doors() -> Iterator[Doors]:
    """A door with small limits. What a test uses up, it does at an address of its own."""
    with closing(Doors(json.dumps({"door": SHORT}))) as doors:
        yield doors


def knock(doors: Doors, host: str = "127.0.0.1") -> socket.socket:
    """A connection from one of the machine's own addresses, once the door has greeted it."""
    connection = socket.create_connection(("127.0.0.1", doors.port), 10, (host, 0))
    connection.settimeout(10)
    assert connection.recv(4) == b"SSH-"
    return connection


def ended(connection: socket.socket) -> bool:
    """Whether the door has hung up, once all that it said is read."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            continue
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def enters(doors: Doors, *options: str) -> bool:
    return doors.ssh("whoami", options=options).returncode == 0


# Connections without a login


def test_silent_connections_of_one_address_keep_nobody_out_not_even_that_address(doors):
    with ExitStack() as opened:
        held = [opened.enter_context(knock(doors)) for _ in range(70)]
        assert enters(doors, "-b", "127.0.0.2")
        assert enters(doors)
        wait_until(lambda: [ended(one) for one in held] == [True] * 7 + [False] * 63)


def test_when_many_addresses_are_silent_the_oldest_go_and_the_newest_is_served(short_doors):
    short = short_doors
    with ExitStack() as opened:
        held = [opened.enter_context(knock(short, f"127.0.1.{n}")) for n in range(1, 14)]
        assert enters(short)
        wait_until(lambda: ended(held[0]))


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-slow\r\n", b"SSH-2.0-slow\r\n" + bytes([0, 0, 1, 0])])
def test_who_does_not_exchange_keys_in_time_is_hung_up_on(short_doors, said):
    with knock(short_doors) as connection:
        connection.sendall(said)
        began = time.monotonic()
        wait_until(lambda: ended(connection), 5)
        assert 0.3 < time.monotonic() - began < 1.4


# Clients that follow no rule


class Deaf:
    """Stands where AsyncSSH's client keeps its own try: an answer that the key may sign makes it go on."""

    def __init__(self, go_on: Callable[[], bool]) -> None:
        self._go_on = go_on

    def process_packet(self, *_: object) -> bool:
        return self._go_on()

    def log_received_packet(self, *_: object) -> None:
        """Nothing is logged."""

    def cancel(self) -> None:
        """Nothing is under way."""


class Trying(asyncssh.SSHClient):
    """A client that sends what the test says once it may log in, and again after each answer."""

    def __init__(self, send: Callable[["Trying"], None]) -> None:
        self.send, self.sent = send, 0

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.conn = conn
        conn.try_next_auth = lambda **_: self.go_on()
        process = conn.process_packet
        conn.process_packet = lambda kind, *rest: self.go_on() if kind == FAILURE else process(kind, *rest)

    def begin_auth(self, username: str) -> None:
        self.conn._auth = Deaf(self.go_on)

    def go_on(self) -> bool:
        self.sent += 1
        self.send(self)
        return True

    def request(self, method: str, *rest: bytes, user: str = "x") -> None:
        """Send one login request."""
        self.conn.send_packet(USERAUTH_REQUEST, *map(String, (user, "ssh-connection", method)), *rest)


def refused(doors: Doors, send: Callable[[Trying], None], **options: object) -> tuple[int, str]:
    """How often the client sent, and what the door said when it ended the connection."""
    client = Trying(send)

    async def enter() -> None:
        given = {"username": "x", "known_hosts": None, "config": None, "client_keys": None, **options}
        async with await asyncssh.connect("127.0.0.1", doors.port, client_factory=lambda: client, **given):
            pytest.fail("that came in")

    with pytest.raises((asyncssh.Error, OSError)) as caught:
        asyncio.run(asyncio.wait_for(enter(), 20))
    return client.sent, str(caught.value)


def public_key(doors: Doors) -> bytes:
    return asyncssh.read_public_key(f"{doors.key}.pub").public_data


def offer(key: bytes, *signature: bytes) -> tuple[bytes, ...]:
    """The rest of a login request with a key, signed if there is a signature."""
    return Boolean(bool(signature)), String("ssh-ed25519"), String(key), *map(String, signature)


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("password", (Boolean(False), String("secret"))),
        ("keyboard-interactive", (String(""), String(""))),
        ("hostbased", ()),
        ("teleport", ()),
        ("publickey", offer(b"no key")),
        ("publickey", offer(b"no key", b"no signature")),
    ],
)
def test_six_failed_tries_of_any_kind_end_the_connection(doors, method, rest):
    tries, said = refused(doors, lambda client: client.request(method, *rest))
    assert tries == 6
    assert "too many authentication failures" in said


def test_the_first_none_is_free_and_no_other(doors):
    assert refused(doors, lambda client: client.request("none"))[0] == 7
    assert refused(doors, lambda client: client.request("none" if client.sent != 1 else "teleport"))[0] == 6


def test_another_user_name_at_each_try_gives_no_more_tries(doors):
    assert refused(doors, lambda client: client.request("teleport", user=f"user{client.sent}"))[0] == 6


@pytest.mark.parametrize("signature", [b"nonsense", String("ssh-ed25519") + String(bytes(64)), String("ssh-rsa")])
def test_a_known_key_with_a_bad_signature_counts(doors, signature):
    rest = offer(public_key(doors), signature)
    assert refused(doors, lambda client: client.request("publickey", *rest))[0] == 6


def test_tries_that_do_not_wait_for_their_answer_count_too(doors):
    rest = offer(public_key(doors), b"nonsense")

    def flood(client: Trying) -> None:
        for _ in range(50):
            client.request("publickey", *rest)

    _, said = refused(doors, flood)
    assert "too many authentication failures" in said or said.endswith(CUT_OFF)


def test_what_can_be_asked_without_failing_ends_too(doors):
    """A key that may enter is only offered, again and again."""
    rest = offer(public_key(doors))

    tries, said = refused(doors, lambda client: client.request("publickey", *rest))
    assert 20 < tries < 200
    assert TOO_MUCH in said


@pytest.mark.parametrize("kind", [IGNORE, UNASSIGNED])
def test_packets_that_mean_nothing_are_bounded_before_the_login(doors, kind):
    def chatter(client: Trying) -> None:
        for _ in range(220):
            client.conn.send_packet(kind, String(b""))

    _, said = refused(doors, chatter)
    assert TOO_MUCH in said or said.endswith(CUT_OFF)


def test_bytes_are_bounded_before_the_login(doors):
    with knock(doors) as connection:
        connection.sendall(b"SSH-2.0-x\r\n" + (200_000).to_bytes(4, "big") + bytes(60_000))
        assert not ended(connection)
        connection.setblocking(True)
        connection.sendall(bytes(10_000))
        wait_until(lambda: ended(connection))
    assert enters(doors)


def test_keys_are_exchanged_once_before_the_login(doors):
    _, said = refused(doors, lambda client: client.conn._send_kexinit())
    assert "a second key exchange before the login" in said


# Key exchanges


@pytest.mark.parametrize("group", ["group14-sha256", "group16-sha512", "group18-sha512", "group-exchange-sha256"])
def test_no_finite_field_is_offered(doors, group):
    done = doors.ssh("whoami", options=["-v", "-o", f"KexAlgorithms=diffie-hellman-{group}"])
    assert done.returncode == 255
    assert b"no matching key exchange method" in done.stderr


def test_a_burst_of_logins_is_served_and_the_next_ones_wait_for_their_turn(short_doors):
    began = time.monotonic()
    assert all(enters(short_doors, "-b", "127.0.0.5") for _ in range(60))
    assert time.monotonic() - began > 0.8


def test_a_flood_of_key_exchanges_is_refused_and_other_addresses_do_not_feel_it():
    slow = {**SHORT, "logins_per_address": 12, "exchanges": 3, "exchanges_per_second": 4, "exchange_wait": 1}
    with closing(Doors(json.dumps({"door": slow}))) as doors:
        argv = doors.ssh_argv("whoami", options=["-b", "127.0.0.3"])
        flood = [subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(10)]
        assert enters(doors)
        said = [one.communicate()[1] for one in flood]
        assert any(b"too many logins from your address" in each for each in said)
        wait_until(lambda: enters(doors, "-b", "127.0.0.3"))


def test_failed_logins_make_their_address_wait_and_a_neighbour_behind_it_gets_in(short_doors):
    stranger = short_doors.new_key("stranger", authorized=False)
    for _ in range(30):
        assert short_doors.ssh("whoami", keys=[stranger], options=["-b", "127.0.0.6"]).returncode == 255
    began = time.monotonic()
    wait_until(lambda: enters(short_doors, "-b", "127.0.0.6"), 5)
    assert time.monotonic() - began < 3


def test_keys_are_exchanged_anew_while_much_is_sent(doors):
    done = doors.ssh("count", options=["-o", "RekeyLimit=1M"], input=bytes(20_000_000))
    assert done.stdout == b"20000000\n"


def test_who_exchanges_keys_again_and_again_waits_and_others_are_served(short_doors):
    async def spin() -> float:
        options = {"username": "x", "known_hosts": None, "config": None, "client_keys": [str(short_doors.key)]}
        async with await asyncssh.connect("127.0.0.1", short_doors.port, rekey_bytes=4096, **options) as connection:
            began = time.monotonic()
            process = await connection.create_process("count", encoding=None)
            for _ in range(60):
                process.stdin.write(bytes(8192))
                await process.stdin.drain()
                await asyncio.sleep(0.005)
            process.stdin.write_eof()
            await process.wait()
            return time.monotonic() - began

    assert asyncio.run(asyncio.wait_for(spin(), 30)) > 0
    assert enters(short_doors, "-b", "127.0.0.4")
