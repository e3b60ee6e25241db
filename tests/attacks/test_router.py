"""Strangers who hold on to the router: they get one client's share of it, and nobody else feels it."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.attacks.means.router import CONNECTIONS, REQUESTS, half_requests, half_uploads, is_ended, slow_readers
from tests.attacks.neighbour import Neighbour, unharmed
from tests.attacks.places import Place
from tests.e2e.harness import Checkout, Instance, wait_for

BULK = {
    ".null": "",
    "Procfile": "web: head -c 50000000 /dev/zero >/tmp/bulk && cd /tmp && exec python3 -m http.server $PORT\n",
}
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def bulk(instance: Instance, neighbour: Neighbour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host of an app with a large answer."""
    checkout = Checkout.of(BULK, tmp_path_factory.mktemp("bulk") / "bulk", neighbour.instance)
    with neighbour.place.inside():
        checkout.push("bulk")
    yield instance.host("bulk")
    neighbour.ssh("apps:destroy", "bulk", "--force", "--now")


def test_half_sent_requests_of_one_address_leave_room_for_others(
    instance: Instance, neighbour: Neighbour, stranger: Place
) -> None:
    with unharmed(neighbour), half_requests(instance, stranger, instance.host(neighbour.app)) as made:
        wait_for(lambda: 0 < len(made) - ended(made) <= CONNECTIONS, "the end of what is beyond the share", 5)


def test_slow_readers_of_one_address_leave_room_and_disk_for_others(
    instance: Instance, neighbour: Neighbour, stranger: Place, bulk: str
) -> None:
    with unharmed(neighbour), slow_readers(instance, stranger, bulk, "/bulk") as made:
        wait_for(lambda: 0 < len(made) - ended(made) <= REQUESTS, "the refusal of what is beyond the share", 5)
        wait_for(lambda: len(temporary(instance)) >= REQUESTS // 4, "temporary files")
        assert max(temporary(instance)) <= MIB
        assert sum(temporary(instance)) <= REQUESTS * MIB


def test_half_sent_uploads_of_one_address_leave_room_and_disk_for_others(
    instance: Instance, neighbour: Neighbour, stranger: Place
) -> None:
    with unharmed(neighbour), half_uploads(instance, stranger, instance.host(neighbour.app)) as made:
        wait_for(lambda: 0 < len(made) - ended(made) <= REQUESTS, "the refusal of what is beyond the share", 5)
        assert sum(temporary(instance)) <= REQUESTS * MIB


def ended(made: list[socket.socket]) -> int:
    """How many of an attack's connections the router ended or refused."""
    return sum(map(is_ended, made))


def temporary(instance: Instance) -> list[int]:
    """The sizes of nginx's temporary files, which are open and have no name."""
    sizes = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(path) != str((instance.home / "nginx").resolve()):
                continue
            for file in (path.parent / "fd").iterdir():
                with suppress(FileNotFoundError):  # it was closed meanwhile
                    if re.search(r"/temp/\w+/", os.readlink(file)):
                        sizes.append(file.stat().st_size)
        except OSError:  # it ended meanwhile
            continue
    return sizes
