"""Which apps are or were called what: a fold, so that an app's story is found by any name that it ever had."""

from dataclasses import dataclass, field

from services.events import AppCreated, Event, NameTaken, Recorded


@dataclass
class Called:
    """The uuids of all apps that ever had a name, by the name; destroyed ones, too."""

    apps: dict[str, set[str]] = field(default_factory=dict)

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        if isinstance(event.data, AppCreated | NameTaken):
            self.apps.setdefault(event.data.name, set()).add(event.data.app)
