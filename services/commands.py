"""What came of the last commands: one that arrives twice, as a broker that dies may have it, acts once."""

from services.chain import Cause
from services.events import Event, Recorded

KEPT = 1000


class Commands:
    """A fold: the events of the last KEPT commands, by the service that recorded them and the command's story."""

    def __init__(self) -> None:
        self._recorded: dict[tuple[str, str], list[Recorded[Event]]] = {}

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve. What follows from another event is no command's doing."""
        if event.causationid:
            return
        self._recorded.setdefault((event.source, event.correlationid), []).append(event)
        if len(self._recorded) > KEPT:
            del self._recorded[next(iter(self._recorded))]

    def recorded(self, cause: Cause) -> list[Recorded[Event]]:
        """What the service has recorded for this command already. One without a story of its own is never known."""
        if cause.causationid or not cause.correlationid:
            return []
        return list(self._recorded.get((cause.source, cause.correlationid), ()))
