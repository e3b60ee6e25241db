"""What one client may hold at the router, who that client is, and what all of it may lie on the disk."""

import json
import os
import re
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection

import pytest

from router import limits
from router.nginx import Nginx
from router.render import AppRoute
from tests.real.conftest import settings_in
from tests.real.web import Reply, WebApp, free_port, get, publish

HOST = "hello.example.com"
MIB = 1024 * 1024
LARGE = 24 * MIB
SHARE, UPLOADS = 10, 8


@pytest.fixture(scope="module", params=["front", "plain"])
def router(request, tmp_path_factory):
    """The settings of a router that trusts 127.0.0.1 and 10.1.1.0/24 as proxies, its app and its large app."""
    patch = pytest.MonkeyPatch()
    patch.setattr(limits, "HEADERS_WITHIN", 1)
    patch.setattr(limits, "SEND_PAUSE", 1)
    settings = settings_in(tmp_path_factory.mktemp("router")).model_copy(
        update={"trusted_proxies": ("127.0.0.1/32", "10.1.1.0/24"), "client_limit": SHARE, "body_limit": "64m"}
    )
    nginx = Nginx(settings)
    if request.param == "plain":  # a server of the operator's own
        (settings.home / "nginx/conf.d").mkdir(parents=True)
        (settings.home / "nginx/conf.d/own.conf").write_text(f"server {{ listen 127.0.0.1:{free_port()}; }}")
    with WebApp("hello") as app, LargeApp() as large:
        routes = [
            AppRoute("hello", 1, 1, (HOST,), (app.address,)),
            AppRoute("large", 1, 1, ("l.com",), (large.address,)),
        ]
        try:
            publish(nginx, routes, "hello")
            yield settings, nginx, app, large
        finally:
            nginx.stop()
            patch.undo()


class LargeApp:
    """Answers each request with LARGE bytes. `sent` says how many of each answer were taken, `ended` which ended."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        self.sent, self.ended = [], []
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()

    def serve(self):
        while True:
            try:
                connection = self.server.accept()[0]
            except OSError:
                return
            self.sent.append(0)
            threading.Thread(target=self.answer, args=(connection, len(self.sent) - 1), daemon=True).start()

    def answer(self, connection, number):
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\nConnection: close\r\n\r\n".encode())
                while self.sent[number] < LARGE:
                    self.sent[number] += connection.send(b"x" * 65536)
            except OSError:
                self.ended.append(number)


@pytest.fixture
def port(router):
    return router[0].http_port


@pytest.fixture
def app(router):
    """The app, which has seen no request yet."""
    router[2].requests.clear()
    return router[2]


def until(done, seconds=10):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        os.sched_yield()


def send(port, head, sender=None, host=HOST):
    """A connection on which a request was begun, from the address `sender` as a trusted proxy tells it."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    forwarded = f"X-Forwarded-For: {sender}\r\n" if sender else ""
    connection.sendall(f"{head} HTTP/1.1\r\nHost: {host}\r\n{forwarded}".encode())
    return connection


@contextmanager
def holding(port, app, senders):
    """A request under way from each of these addresses; all are answered at the end."""
    before = len(app.requests)
    with ExitStack() as stack:
        for sender in senders:
            stack.enter_context(closing(send(port, "GET /slow", sender))).sendall(b"\r\n")
        until(lambda: len(app.requests) == before + len(senders))
        yield
        app.release.set()
    app.release.clear()


def status(port, sender=None, **more):
    return get(port, HOST, headers={"X-Forwarded-For": sender} if sender else {}, **more).status


def test_a_client_beyond_its_share_is_refused_and_nobody_else(port, app):
    with holding(port, app, ["203.0.113.1"] * SHARE):
        assert status(port, "203.0.113.1") == 429
        assert status(port, "::ffff:203.0.113.1") == 429
        assert status(port, "198.51.100.9, 203.0.113.1, 10.1.1.7") == 429
        assert status(port, "203.0.113.2") == 200
        assert status(port) == 200
    until(lambda: status(port, "203.0.113.1") == 200)


def test_a_64_of_ipv6_is_one_client(port, app):
    with holding(port, app, [f"2001:db8::1:{n:x}:0:0:{n}" for n in range(SHARE)]):
        assert status(port, "2001:db8:0:1::ffff") == 429
        assert status(port, "2001:db8::ffff") == 200


def test_the_proxy_itself_has_no_share(port, app):
    with holding(port, app, [None] * 3 * SHARE):
        assert status(port) == 200


def test_uploads_have_a_share_of_their_own(port):
    with ExitStack() as stack:

        def begin():
            begun = stack.enter_context(closing(send(port, "POST /", "203.0.113.3")))
            begun.sendall(b"Content-Length: 1000000\r\n\r\n" + b"x" * 65536)

        for _ in range(UPLOADS - 1):
            begin()
        # one more each time, as one whose headers came late is ended and does not count
        until(lambda: begin() or status(port, "203.0.113.3", method="POST", body=b"x" * 200_000) == 429)
        assert status(port, "203.0.113.3", method="POST", body=b"x" * 50_000) == 200
        assert status(port, "203.0.113.4", method="POST", body=b"x" * 200_000) == 200


def test_half_a_request_is_ended_however_it_drips(port):
    with closing(send(port, "GET /", "203.0.113.5")) as half:
        begun = time.monotonic()
        half.settimeout(0.05)
        with suppress(ConnectionError):
            while not is_over(half):
                half.sendall(b"X: y\r\n")
                assert time.monotonic() < begun + 3
        assert time.monotonic() > begun + 0.5


def is_over(connection):
    """Whether the other side ends or answers before the connection's time-out."""
    try:
        return connection.recv(100) is not None
    except TimeoutError:
        return False


def temporary_files(nginx):
    """The sizes of the temporary files that nginx has open; they have no name any more."""
    pids = [nginx.status()["pid"]]
    with open(f"/proc/{pids[0]}/task/{pids[0]}/children") as children:
        pids += children.read().split()
    sizes = []
    for path in (f"/proc/{pid}/fd/{fd}" for pid in pids for fd in os.listdir(f"/proc/{pid}/fd")):
        with suppress(FileNotFoundError):  # it was closed meanwhile
            if re.search(r"/temp/\w+/", os.readlink(path)):
                sizes.append(os.stat(path).st_size)
    return sizes


def test_slow_readers_fill_no_disk_and_let_go_of_the_app(port, router):
    _, nginx, _, large = router
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(send(port, "GET /", "203.0.113.6", "l.com"))) for _ in range(SHARE)]
        for reader in readers:
            reader.sendall(b"\r\n")
        sizes = []
        until(lambda: sizes.extend(temporary_files(nginx)) or len(large.ended) == SHARE, 30)
        assert MIB / 2 < max(sizes) <= MIB
        assert max(large.sent) < LARGE
    until(lambda: not temporary_files(nginx))


def test_a_large_answer_arrives_whole(port):
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/", headers={"Host": "l.com"})
        assert len(connection.getresponse().read()) == LARGE


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ({}, ("127.0.0.1", "http", None)),
        ({"X-Forwarded-For": "203.0.113.7"}, ("203.0.113.7", "http", None)),
        ({"X-Forwarded-For": "9.9.9.9, 203.0.113.7, 10.1.1.1"}, ("203.0.113.7", "http", None)),
        ({"X-Forwarded-For": "2001:db8::7", "X-Forwarded-Proto": "https"}, ("2001:db8::7", "https", "443")),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Port": "8443"}, ("127.0.0.1", "https", "8443")),
        ({"X-Forwarded-Proto": "gopher", "X-Forwarded-Port": "x; y"}, ("127.0.0.1", "http", None)),
    ],
)
def test_an_app_is_told_what_a_trusted_proxy_says(port, sent, seen):
    reply: Reply = get(port, HOST, headers=sent)
    told = dict(json.loads(reply.text)["headers"])
    expected = (*seen[:2], seen[2] or str(port))
    assert (told["x-forwarded-for"], told["x-forwarded-proto"], told["x-forwarded-port"]) == expected
