"""Tells the doors of keys that are removed while their connections are open; a live listener, not state."""

from collections.abc import Callable

from services.events import Event, KeyRemoved, Recorded

Tell = Callable[[str], None]


class Removals:
    """Calls those who want to know with each removed key's fingerprint."""

    def __init__(self) -> None:
        self._told: list[Tell] = []

    def tell(self, who: Tell) -> None:
        """Call `who` from now on; it must not block."""
        self._told.append(who)

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        if isinstance(event.data, KeyRemoved):
            self.removed(event.data.fingerprint)

    def removed(self, fingerprint: str) -> None:
        """A key may not enter any more."""
        for tell in self._told:
            tell(fingerprint)
