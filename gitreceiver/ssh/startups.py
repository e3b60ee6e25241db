"""Connections that have not logged in: how many there may be, and how many key exchanges they may ask for.

Modelled on OpenSSH's MaxStartups, PerSourceMaxStartups and PerSourcePenalties, with two differences. The newest
connection is not refused for the sake of older ones that only wait: the oldest goes. An address that asks too often,
or whose logins fail, waits longer and longer, but never more than a few seconds: honest clients may share it.
"""

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from gitreceiver.ssh.limits import DoorLimits

C = TypeVar("C", bound=Hashable)


def source(host: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that an IPv6 address is in."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


class Startups(Generic[C]):
    """The connections that have not logged in, by their source. It says whom to hang up on, and does nothing itself."""

    def __init__(self, limits: DoorLimits) -> None:
        self._limits = limits
        self._sources: dict[C, str] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._sources)

    def enter(self, connection: C, source: str) -> C | None:
        """Take in a new connection; returns the one that has to go for it."""
        evicted = self._surplus(source)
        if evicted is not None:
            del self._sources[evicted]
        self._sources[connection] = source
        return evicted

    def leave(self, connection: C) -> None:
        """The connection has logged in, or is gone."""
        self._sources.pop(connection, None)

    def _surplus(self, source: str) -> C | None:
        """The oldest of this source beyond its share; beyond the total the oldest of the source that has most."""
        counts = Counter(self._sources.values())
        if counts[source] >= self._limits.logins_per_address:
            return self._oldest({source})
        if len(self._sources) < self._limits.logins:
            return None
        most = max(counts.values())
        return self._oldest({each for each, count in counts.items() if count == most})

    def _oldest(self, sources: set[str]) -> C:
        return next(connection for connection, source in self._sources.items() if source in sources)


class Turns(NamedTuple):
    """How many turns were left at a time, and how many of those that are gone were lost by failing."""

    left: float
    lost: float
    at: float


class Exchanges:
    """How long a key exchange waits for its turn: a token bucket for each source. `clock` gives monotonic seconds."""

    def __init__(self, limits: DoorLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._left: OrderedDict[str, Turns] = OrderedDict()  # the last used last

    def wait(self, source: str) -> float | None:
        """Take a turn; returns the seconds until it comes, None when there is none within `exchange_wait`."""
        turns = self._turns(source)
        seconds = max(0.0, (1 - turns.left) / self._limits.exchanges_per_second)
        if seconds > self._limits.exchange_wait:
            return None
        self._keep(source, turns._replace(left=turns.left - 1))
        return seconds

    def failed(self, source: str) -> None:
        """A login of this source failed: it waits longer from now on, but a client that comes later has its turn."""
        turns = self._turns(source)
        room = turns.left - 1 + self._limits.exchange_wait * self._limits.exchanges_per_second
        cost = min(self._limits.failure_cost, max(0.0, room))
        self._keep(source, turns._replace(left=turns.left - cost, lost=turns.lost + cost))

    def succeeded(self, source: str) -> None:
        """Somebody with a key logged in: what others of this source lost by failing comes back."""
        turns = self._turns(source)
        self._keep(source, turns._replace(left=turns.left + turns.lost, lost=0.0))

    def _turns(self, source: str) -> Turns:
        most, now = float(self._limits.exchanges), self._clock()
        left, lost, at = self._left.get(source, Turns(most, 0.0, now))
        gained = (now - at) * self._limits.exchanges_per_second
        return Turns(min(most, left + gained), max(0.0, lost - gained), now)

    def _keep(self, source: str, turns: Turns) -> None:
        self._left[source] = turns
        self._left.move_to_end(source)
        if len(self._left) > self._limits.addresses:
            self._left.popitem(last=False)
