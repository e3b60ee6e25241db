"""Who counts as one client at the router, and whose word on that it takes."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from router.nginx import Nginx
from router.render import AppRoute
from services.settings import Settings
from tests.attacks.means.router import is_ended
from tests.attacks.places import Place, place
from tests.e2e.harness import wait_for
from tests.real.web import WebApp, free_port, publish

HOST = "hello.example.com"
SHARE = 5


@pytest.fixture(scope="module")
def proxy() -> Iterator[Place]:
    """Where a trusted proxy is."""
    with place() as at:
        yield at


@pytest.fixture(scope="module", params=["front", "plain"])
def port(request: pytest.FixtureRequest, proxy: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a router with one app, behind nginx's stream module or, beside a server of the operator, without."""
    home = tmp_path_factory.mktemp("router") / "home"
    home.mkdir(mode=0o700)
    settings = Settings(
        home=home, http_port=free_port(), drain=1, client_limit=SHARE, trusted_proxies=(proxy.address, proxy.address6)
    )
    if request.param == "plain":
        (home / "nginx/conf.d").mkdir(parents=True)
        (home / "nginx/conf.d/own.conf").write_text(f"server {{ listen 127.0.0.1:{free_port()}; }}")
    nginx = Nginx(settings)
    with WebApp("app") as app:
        try:
            publish(nginx, [AppRoute("app", 1, 1, (HOST,), (app.address,))], "app")
            assert ("\nstream {" in Path(home / "nginx/current/nginx.conf").read_text()) == (request.param == "front")
            yield settings.http_port
        finally:
            nginx.stop()


def send(at: Place, port: int, path: str, forwarded: str = "", address: str = "", source: str = "") -> socket.socket:
    """A request from a place, perhaps with what it says whom it forwards."""
    with at.inside():
        connection = socket.create_connection(
            (address or at.host, port), timeout=10, source_address=(source, 0) if source else None
        )
    said = f"X-Forwarded-For: {forwarded}\r\n" if forwarded else ""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{said}Connection: close\r\n\r\n".encode())
    return connection


def answer(connection: socket.socket) -> str:
    """All that comes back."""
    with connection, connection.makefile("rb") as stream:
        return stream.read().decode()


def is_refused(connection: socket.socket) -> bool:
    return " 429 " in answer(connection)


@pytest.mark.parametrize("sent", ["", "203.0.113.9", "::1"])
def test_a_strangers_address_is_theirs_whatever_they_say(port: int, stranger: Place, proxy: Place, sent: str) -> None:
    for said in (sent, f"{sent}, {proxy.address}" if sent else ""):
        seen = f"{said}, {stranger.address}" if said else stranger.address
        assert f'["x-forwarded-for", "{seen}"]' in answer(send(stranger, port, "/", said))


def test_a_trusted_proxy_says_who_asks(port: int, proxy: Place) -> None:
    assert '["x-forwarded-for", "203.0.113.9"]' in answer(send(proxy, port, "/", "9.9.9.9, 203.0.113.9"))
    assert f'["x-forwarded-for", "{proxy.address}"]' in answer(send(proxy, port, "/"))
    assert '["x-forwarded-for", "2001:db8::9"]' in answer(send(proxy, port, "/", "2001:db8::9", proxy.host6))


def test_a_stranger_has_one_share_under_whatever_name(port: int, stranger: Place, proxy: Place) -> None:
    with ExitStack() as held:
        for number in range(2 * SHARE):
            held.enter_context(closing(send(stranger, port, "/slow", f"203.0.113.{number}")))
        wait_for(lambda: is_refused(send(stranger, port, "/", "203.0.113.99")), "the end of the share")
        assert "200 OK" in answer(send(proxy, port, "/", "203.0.113.1"))


def test_who_is_behind_a_trusted_proxy_has_a_share_and_the_proxy_has_none(port: int, proxy: Place) -> None:
    with ExitStack() as held:
        for sender in ("203.0.113.1", ""):
            for _ in range(5 * SHARE if not sender else 2 * SHARE):
                held.enter_context(closing(send(proxy, port, "/slow", sender)))
        wait_for(lambda: is_refused(send(proxy, port, "/", "203.0.113.1")), "the end of the share")
        assert "200 OK" in answer(send(proxy, port, "/", "203.0.113.2"))
        assert "200 OK" in answer(send(proxy, port, "/"))


def test_the_connections_of_a_64_of_ipv6_are_those_of_one_client(port: int, stranger: Place) -> None:
    sources = [stranger.ipv6(number) for number in range(10, 18)]
    for source in sources:
        words = ("address", "add", f"{source}/64", "dev", "cable", "nodad")
        subprocess.run(["ip", "-n", stranger.name, *words], check=True)
    with ExitStack() as held:
        made = [
            held.enter_context(closing(send(stranger, port, "/slow", "", stranger.host6, sources[number % 8])))
            for number in range(6 * SHARE)
        ]
        for connection in made:
            connection.setblocking(False)
        begun = time.monotonic()
        wait_for(lambda: len(made) - sum(map(is_ended, made)) <= 4 * SHARE, "the end of the share", 5)
        assert time.monotonic() - begun < 5
