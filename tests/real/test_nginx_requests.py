"""What a request meets at the router: the right app or none, honest headers, and no way around."""

import http.client
import socket
from contextlib import closing

import pytest

from router.nginx import Nginx
from router.render import AppRoute
from tests.real.conftest import settings_in
from tests.real.web import WebApp, get, publish, raw

HOST = "hello.example.com"
OTHER = "other.example.com"


@pytest.fixture(scope="module")
def router(tmp_path_factory):
    """The settings of a router with two published apps, `hello` and `other`, and these two."""
    settings = settings_in(tmp_path_factory.mktemp("router"))
    nginx = Nginx(settings)
    with WebApp("hello") as hello, WebApp("other") as other:
        routes = [
            AppRoute("hello", 1, 1, (HOST,), (hello.address,)),
            AppRoute("other", 1, 1, (OTHER,), (other.address,)),
        ]
        try:
            publish(nginx, routes, "hello")
            yield settings, (hello, other)
        finally:
            nginx.stop()


@pytest.fixture
def apps(router):
    """The two apps; they have seen no request yet."""
    for app in router[1]:
        app.requests.clear()
    return router[1]


@pytest.fixture
def port(router):
    return router[0].http_port


def test_an_app_is_told_who_asks_for_what_and_by_which_way(port):
    seen = get(port, f"{HOST}:{port}").seen
    assert seen["host"] == f"{HOST}:{port}"
    assert seen["x-forwarded-host"] == f"{HOST}:{port}"
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-port"] == str(port)
    assert float(seen["x-request-start"]) > 1_600_000_000
    assert "connection" not in seen


def test_what_a_client_claims_of_the_way_is_replaced_and_its_address_is_added(port):
    claims = {
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Host": "evil.example",
        "Proxy": "http://evil.example",
        "X-Pushlog-Probe": "0" * 32,
    }
    seen = get(port, HOST, headers=claims).seen
    assert seen["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
    assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == ("http", str(port))
    assert seen["x-forwarded-host"] == HOST
    assert not {"proxy", "x-pushlog-probe"} & set(seen)


@pytest.mark.parametrize("token", [None, "", "0" * 32])
def test_only_who_knows_the_token_is_told_what_answered(port, token):
    reply = get(port, HOST, headers={} if token is None else {"X-Pushlog-Probe": token})
    assert not [name for name in reply.headers if name.lower().startswith("x-pushlog")]


def test_a_probe_is_told_the_release_and_the_container(port, apps, router):
    token = (router[0].home / "nginx/probe-token").read_text()
    reply = get(port, HOST, headers={"X-Pushlog-Probe": token})
    assert reply.headers.get_all("X-Pushlog-Release") == ["hello.v1.1"]
    assert reply.headers["X-Pushlog-Upstream"].split("|")[0] == apps[0].address


@pytest.mark.parametrize("host", ["unknown.example.com", "example.com", "127.0.0.1", "localhost", "_", "x" * 300])
def test_an_unknown_host_is_told_nothing(port, apps, host):
    assert raw(port, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) == b""
    assert apps[0].requests == apps[1].requests == []


def test_a_host_is_known_in_any_case_with_a_port_and_a_last_dot(port):
    for host in (HOST.upper(), f"{HOST}:{port}", f"{HOST}.", f"{HOST}.:{port}", f"{HOST}:1"):
        assert get(port, host).app == "hello"


HELLO = f"Host: {HOST}\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        f"POST / HTTP/1.1\r\n{HELLO}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        f"POST / HTTP/1.1\r\n{HELLO}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        f"POST / HTTP/1.1\r\n{HELLO}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        f"POST / HTTP/1.1\r\n{HELLO}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        f"POST / HTTP/1.1\r\n{HELLO}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        f"POST / HTTP/1.1\r\n{HELLO}Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345X",
        f"POST / HTTP/1.1\r\n{HELLO}Content-Length: +5\r\n\r\n12345",
        f"POST / HTTP/1.1\r\n{HELLO}Content-Length: 5, 5\r\n\r\n12345",
        f"POST / HTTP/1.1\r\n{HELLO}Content-Length: -1\r\n\r\n",
        f"POST / HTTP/1.1\r\n{HELLO}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        f"GET / HTTP/1.1\r\n{HELLO}Host: {OTHER}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost : {HOST}\r\n\r\n",
        f"GET / HTTP/1.1\r\n Host: {HOST}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{HELLO} folded: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {HOST}\0{OTHER}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {HOST}/{OTHER}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {OTHER}@{HOST}\r\n\r\n",
        f"GET http://{HOST}/ HTTP/1.1\r\nHost: {OTHER}\r\n\r\n",
        f"GET http://{OTHER}/ HTTP/1.1\r\n{HELLO}\r\n",
        f"GET http://unknown.example.com/ HTTP/1.1\r\n{HELLO}\r\n",
        f"GET http://{HOST}@{OTHER}/ HTTP/1.1\r\n{HELLO}\r\n",
        f"GET http://{HOST}/ HTTP/1.0\r\n\r\n",
        f"CONNECT {HOST}:80 HTTP/1.1\r\n{HELLO}\r\n",
        f"TRACE / HTTP/1.1\r\n{HELLO}\r\n",
        f"GET / HTTP/1.1\r\n{HELLO}X: {'x' * 65536}\r\n\r\n",
        f"GET /{'x' * 65536} HTTP/1.1\r\n{HELLO}\r\n",
        f"GET / HTTP/9.9\r\n{HELLO}\r\n",
        f"GET / HTTP/1.1\r\n{HELLO}X\0Y: 1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "GET /\r\n",
    ],
)
def test_a_request_that_two_servers_could_read_differently_reaches_no_app(port, apps, request_):
    answer = raw(port, request_.encode("latin-1"))
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"405", b"414", b"501", b"505")
    assert apps[0].requests == apps[1].requests == []


def test_what_follows_a_body_is_not_read_as_part_of_it(port, apps):
    smuggled = f"GET /smuggled HTTP/1.1\r\nHost: {OTHER}\r\n\r\n"
    raw(port, f"POST / HTTP/1.1\r\n{HELLO}Content-Length: {len(smuggled)}\r\n\r\n{smuggled}".encode())
    assert [(method, path) for method, path, _ in apps[0].requests] == [("POST", "/")]
    assert apps[1].requests == []


def test_a_bare_line_feed_ends_a_header_line_for_nginx_and_the_app_alike(port, apps):
    raw(port, f"GET / HTTP/1.1\nHost: {HOST}\nX-One: 1\nConnection: close\n\n".encode())
    [(_, _, headers)] = apps[0].requests
    assert headers["X-One"] == "1"


def test_a_body_beyond_the_limit_is_refused_and_one_below_passes_through_a_file(port):
    assert get(port, HOST, method="POST", body=b"x" * (1024 * 1024 + 1)).status == 413
    reply = get(port, HOST, method="POST", body=b"x" * 1024 * 1024)
    assert (reply.status, '"received": 1048576' in reply.text) == (200, True)


def test_a_websocket_passes(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, sock.makefile("rwb") as stream:
        stream.write(f"GET /upgrade HTTP/1.1\r\n{HELLO}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode())
        stream.flush()
        assert stream.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        while stream.readline() != b"\r\n":
            pass
        stream.write(b"over the socket\n")
        stream.flush()
        assert stream.readline() == b"over the socket\n"


def test_no_other_upgrade_passes(port):
    seen = get(port, HOST, headers={"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings"}).seen
    assert "upgrade" not in seen
    assert "connection" not in seen


def test_a_stream_arrives_as_it_is_written(port, apps):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/stream", headers={"Host": HOST})
        response = connection.getresponse()
        assert response.readline() == b"data: one\n"
        assert not apps[0].release.is_set()
        apps[0].release.set()
        assert response.read() == b"\ndata: two\n\n"


def test_a_path_reaches_the_app_as_it_was_sent(port):
    assert '"path": "/a//b/../c?d=%2e%2e"' in get(port, HOST, path="/a//b/../c?d=%2e%2e").text


def test_an_app_cannot_send_nginx_to_another_place(port, apps):
    reply = get(port, HOST)
    assert '"path": "/"' in reply.text
    assert "X-Accel-Redirect" not in reply.headers
    assert [path for _, path, _ in apps[0].requests] == ["/"]
