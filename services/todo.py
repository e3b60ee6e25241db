"""What is still to do is a fold too: the triggers of a hop that nothing has ended yet.

A message, a start or a timer only makes a service look at it, so a lost, doubled or late message changes no result.
"""

from collections.abc import Callable, Collection
from typing import Any

from services.events import CATALOGUE, AppDestroyed, AppEvent, Claim, Event, Recorded

DECLARED = frozenset({"trigger", "_until", "_when", "_settled", "_claims", "takes"})


class Pending:
    """The events of one type for which no event of the types `until` has been recorded as their effect.

    `when` tells which of them ask for anything. With `settled`, an app's next item waits until the story of the one
    before has come to an event of these types. What belongs to a destroyed app is not to be done, be it that work which
    was under way when the app went records it afterwards.
    """

    def __init__(
        self,
        trigger: type[Event],
        until: Collection[type[Event]],
        when: Callable[[Event], bool] | None = None,
        settled: Collection[type[Event]] = (),
    ) -> None:
        self.trigger = trigger
        self._until = frozenset(until)
        self._when = when
        self._settled = frozenset(settled)
        emitters = {kind.EMITTER for kind in until}  # who records an outcome also records the claims
        self._claims = frozenset(k for k in CATALOGUE.values() if issubclass(k, Claim) and k.EMITTER in emitters)
        self.takes = frozenset({trigger, *until, *settled, AppDestroyed}) | self._claims
        self._unsettled: dict[str, str] = {}
        self._destroyed: set[str] = set()
        self._attempts: dict[str, int] = {}
        self.items: dict[str, Recorded[Event]] = {}

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        kind, work = type(event.data), event.causationid
        asks = kind is self.trigger and self._asks(event)
        if kind is AppDestroyed:
            self._end(subject_app(event))
        if asks:
            self.items[event.id] = event
        elif work in self.items:
            if kind in self._until:
                del self.items[work]
                self._attempts.pop(work, None)
                if self._settled:
                    self._unsettled[subject_app(event)] = event.correlationid
            elif kind in self._claims:
                self._attempts[work] = event.version
        if kind in self._settled and self._unsettled.get(subject_app(event)) == event.correlationid:
            del self._unsettled[subject_app(event)]

    def _asks(self, event: Recorded[Event]) -> bool:
        return subject_app(event) not in self._destroyed and (self._when is None or self._when(event.data))

    def _end(self, app: str) -> None:
        self.items = {id_: event for id_, event in self.items.items() if subject_app(event) != app}
        self._attempts = {id_: number for id_, number in self._attempts.items() if id_ in self.items}
        self._unsettled.pop(app, None)
        self._destroyed.add(app)

    def __getstate__(self) -> dict[str, Any]:
        """What a snapshot keeps: all but how it was declared."""
        return {name: value for name, value in vars(self).items() if name not in DECLARED}

    def heads(self) -> list[Recorded[Event]]:
        """The oldest item of each app, oldest first: for work that an app's next item must wait for."""
        heads: dict[str, Recorded[Event]] = {}
        for event in self.items.values():
            heads.setdefault(subject_app(event), event)
        return [event for app, event in heads.items() if app not in self._unsettled]

    def attempts(self, trigger: Recorded[Event]) -> int:
        """How often the work that `trigger` asks for was claimed, by whichever holder."""
        return self._attempts.get(trigger.id, 0)


def subject_app(event: Recorded[Event]) -> str:
    """The uuid of the app that an event is about; its own id when it is about none."""
    return event.data.app if isinstance(event.data, AppEvent) else event.id
