"""The numbers that keep one client of the SSH door from taking what others need. docs/security.md states them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """The door's limits; tests pass smaller ones. An address is an IPv4 address or the /64 of an IPv6 address."""

    logins: int = 256
    """Connections that have not logged in, at once."""
    logins_per_address: int = 64
    exchange_seconds: float = 10.0
    """From the connection to the end of its key exchange."""
    login_seconds: float = 30.0
    """From the connection to the end of its login."""
    tries: int = 6
    """Failed tries that end a connection. The first `none` is free: clients ask by it what they may try."""
    stranger_packets: int = 200
    """Packets of both directions before the login."""
    stranger_bytes: int = 64 * 1024
    """Bytes that a client may send before its login, or while its key exchange waits."""
    exchanges: int = 100
    """Key exchanges of one address that are served at once; then they wait for their turn."""
    exchanges_per_second: float = 30.0
    exchange_wait: float = 5.0
    """Seconds that a key exchange waits at most; beyond this the connection is refused."""
    failure_cost: float = 5.0
    """A login that fails counts as so many key exchanges more."""
    addresses: int = 4096
    """Addresses that are remembered."""
    sessions: int = 256
    """Sessions at once; a key has at most as many as are left free, so half when it is alone."""
    sessions_per_connection: int = 32
    connections: int = 512
    """Connections that have logged in, shared like sessions."""
    keepalive_seconds: float = 30.0
    """Between questions to a silent client; the fourth without an answer ends the connection."""
    input_seconds: float = 60.0
    """A git client that owes bytes and sends none for so long is given up."""
    idle_seconds: float = 600.0
    """For a connection on which no command runs, and for other input that a command waits for."""
    farewell_seconds: float = 0.3
    """From the removal of a key until its sessions end, in which an answer under way arrives; then until all ends."""
    rest: float = 4.0
    """How many times as long as it took to read what takes long (see pace.py) its key rests then."""
