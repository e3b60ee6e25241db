"""What is still to do is a fold too: the triggers of a hop that nothing has ended yet.

A message, a start or a timer only makes a service look at it, so a lost, doubled or late message changes no result.
"""

from collections.abc import Callable, Collection

from services.events import AppDestroyed, AppEvent, Event, Recorded


class Pending:
    """The events of one type for which no event of the types `until` has been recorded as their effect.

    `when` tells which of them ask for anything. What belonged to a destroyed app is no longer to be done.
    """

    def __init__(
        self, trigger: type[Event], until: Collection[type[Event]], when: Callable[[Event], bool] | None = None
    ) -> None:
        self._trigger = trigger
        self._until = tuple(until)
        self._when = when
        self.items: dict[str, Recorded[Event]] = {}

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        data = event.data
        if isinstance(data, self._trigger) and (self._when is None or self._when(data)):
            self.items[event.id] = event
        elif isinstance(data, self._until):
            self.items.pop(event.causationid, None)
        elif isinstance(data, AppDestroyed):
            self.items = {i: e for i, e in self.items.items() if subject_app(e) != data.app}

    def heads(self) -> list[Recorded[Event]]:
        """The oldest item of each app, oldest first: one app's work is done in the order of the log."""
        heads: dict[str, Recorded[Event]] = {}
        for event in self.items.values():
            heads.setdefault(subject_app(event), event)
        return list(heads.values())


def subject_app(event: Recorded[Event]) -> str:
    """The uuid of the app that an event is about; its own id when it is about none."""
    return event.data.app if isinstance(event.data, AppEvent) else event.id
