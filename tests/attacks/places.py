"""Places on the network with addresses of their own: network namespaces, each with a cable to the host. Needs root."""

import ctypes
import itertools
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(os.getpid() % 4096 * 4)


@dataclass(frozen=True)
class Place:
    """A network namespace. `host` and `host6` are where it reaches the host, `address` and `address6` its own."""

    number: int

    @property
    def name(self) -> str:
        """The namespace's name."""
        return f"place-{self.number}"

    @property
    def host(self) -> str:
        """The host's IPv4 address at this cable; of 198.18.0.0/15, which is kept for tests of networks (RFC 2544)."""
        return self._ipv4(1)

    @property
    def address(self) -> str:
        """The place's IPv4 address."""
        return self._ipv4(2)

    @property
    def host6(self) -> str:
        """The host's IPv6 address at this cable."""
        return self.ipv6(1)

    @property
    def address6(self) -> str:
        """The place's IPv6 address."""
        return self.ipv6(2)

    def ipv6(self, last: int) -> str:
        """An address of the place's /64."""
        return f"fd5e:{self.number:x}::{last:x}"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Have the sockets that this thread makes, and the programs that it starts, be of this place."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        theirs = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(theirs)
            yield
        finally:
            _enter(own)
            os.close(own)
            os.close(theirs)

    def connect(self, port: int, timeout: float = 10.0) -> socket.socket:
        """A TCP connection from here to a port of the host."""
        with self.inside():
            return socket.create_connection((self.host, port), timeout)

    def _ipv4(self, last: int) -> str:
        at = self.number * 4 + last
        return f"198.{18 + (at >> 16)}.{at >> 8 & 255}.{at & 255}"

    def build(self) -> None:
        """Make the namespace and its cable."""
        outer, inner = f"pl{self.number}", "cable"
        _ip("netns", "add", self.name)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self.name)
        for where, link, own in (([], outer, 1), (["-n", self.name], inner, 2)):
            _ip(*where, "address", "add", f"{self._ipv4(own)}/30", "dev", link)
            _ip(*where, "address", "add", f"{self.ipv6(own)}/64", "dev", link, "nodad")
            _ip(*where, "link", "set", link, "up")
        _ip("-n", self.name, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Remove both; what still runs or is open there ends by itself."""
        subprocess.run(["ip", "link", "delete", f"pl{self.number}"], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)


@contextmanager
def place() -> Iterator[Place]:
    """A place for the length of a block."""
    made = Place(next(_numbers))
    try:
        made.build()
        yield made
    finally:
        made.remove()


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
