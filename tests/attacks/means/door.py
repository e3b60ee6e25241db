"""Strangers at the SSH door."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.attacks.places import Place
from tests.e2e.harness import Instance

CONNECTIONS = 200


@contextmanager
def silent_logins(instance: Instance, at: Place) -> Iterator[list[socket.socket]]:
    """Connections that never say a word; those that the door ends stay ended."""
    with ExitStack() as opened:
        yield [opened.enter_context(at.connect(instance.ssh_port)) for _ in range(CONNECTIONS)]
