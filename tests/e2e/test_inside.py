"""What a user, a local client or a build cannot do to the others of an instance: attacks with harmless inputs."""

import json
import socket

import pytest

from tests.e2e.harness import Instance


def test_no_line_on_the_local_socket_ends_a_door_or_a_process(shared: Instance, app: str) -> None:
    before = shared.pids
    for line in (
        b'{"argv": ' + b"[" * 30_000 + b"]" * 30_000 + b"}\n",
        b"\xff" * 70_000,
        b'{"argv": ["help"]}\n\xff\xff\xff',
    ):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(shared.home / "run" / "pushlog.sock"))
            client.settimeout(20)
            client.sendall(line)
            client.shutdown(socket.SHUT_WR)
            try:
                while client.recv(1 << 16):
                    pass
            except ConnectionError:
                pass
    shared.pushlog("apps:create", app)
    assert shared.ssh("apps:exists", app).returncode == 0
    assert shared.pids == before


def test_a_scale_beyond_the_networks_addresses_is_told_to_its_asker_at_once(shared: Instance, app: str) -> None:
    shared.ssh("apps:create", app)
    before = shared.head()
    refused = shared.ssh("ps:scale", app, *(f"worker{n}=100" for n in range(21)), check=False)
    assert (refused.returncode, shared.head()) == (1, before)
    assert f"2100 containers of {app} need 4200 addresses" in refused.stderr
    assert "are free in the apps' network; use at most" in refused.stderr


@pytest.mark.parametrize("host", ["intranet", "xn--99999999.example", "10.0.0.0x7f", "shop.123"])
def test_what_is_no_domain_name_is_refused_and_records_nothing(shared: Instance, app: str, host: str) -> None:
    shared.ssh("apps:create", app)
    before = shared.head()
    refused = shared.ssh("domains:add", app, host, check=False)
    assert (refused.returncode, shared.head()) == (1, before)
    assert refused.stderr.startswith(" !     domain: ")
    assert "; use " in refused.stderr


def test_the_disk_is_shown_with_caches(shared: Instance, app: str) -> None:
    shared.ssh("apps:create", app)
    rows = json.loads(shared.ssh("doctor:disk", "--format", "json").stdout)
    assert all("caches" in row for row in rows if not row["owner"].startswith("("))
