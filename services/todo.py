"""What is still to do is a fold too: the triggers of a hop that nothing has ended yet.

A message, a start or a timer only makes a service look at it, so a lost, doubled or late message changes no result.
"""

from collections.abc import Callable, Collection
from typing import Any

from services.events import CATALOGUE, AppDestroyed, AppEvent, AppRestored, AppShredded, Claim, Event, Recorded

ENDS = (AppDestroyed, AppRestored, AppShredded)

DECLARED = frozenset({"trigger", "_until", "_when", "_settled", "_news", "_claims", "takes"})


class Pending:
    """The events of one type for which no event of the types `until` has been recorded as their effect.

    `when` tells which of them ask for anything. With `settled`, an app's next item waits until the story of the one
    before has come to an event of these types. What belongs to a destroyed app is not to be done, be it that work which
    was under way when the app went records it afterwards; should the app be restored, it is, from where it stood.

    `heard` is the position of each item's latest news: an event of the types `news` about its app, after which what was
    found not to be due may be.
    """

    def __init__(
        self,
        trigger: type[Event],
        until: Collection[type[Event]],
        when: Callable[[Event], bool] | None = None,
        settled: Collection[type[Event]] = (),
        news: Collection[type[AppEvent]] = (),
    ) -> None:
        self.trigger = trigger
        self._until = frozenset(until)
        self._when = when
        self._settled = frozenset(settled)
        self._news = frozenset(news)
        emitters = {kind.EMITTER for kind in until}  # who records an outcome also records the claims
        self._claims = frozenset(k for k in CATALOGUE.values() if issubclass(k, Claim) and k.EMITTER in emitters)
        self.takes = frozenset({trigger, *until, *settled, *news, *ENDS}) | self._claims
        self._unsettled: dict[str, str] = {}
        self._destroyed: set[str] = set()
        self._parked: dict[str, Recorded[Event]] = {}
        self._attempts: dict[str, int] = {}
        self.items: dict[str, Recorded[Event]] = {}
        self.heard: dict[str, int] = {}

    def evolve(self, event: Recorded[Event]) -> None:
        """See Fold.evolve."""
        kind, work = type(event.data), event.causationid
        if kind in ENDS:
            self._follow(event)
        if kind is self.trigger and (self._when is None or self._when(event.data)):
            apart = kind not in ENDS and subject_app(event) in self._destroyed
            (self._parked if apart else self.items)[event.id] = event
        elif work in self.items or work in self._parked:
            if kind in self._until:
                self._drop(work)
                if self._settled:
                    self._unsettled[subject_app(event)] = event.correlationid
            elif kind in self._claims:
                self._attempts[work] = event.version
        if kind in self._settled and self._unsettled.get(subject_app(event)) == event.correlationid:
            del self._unsettled[subject_app(event)]
        if kind in self._news:
            self.heard |= dict.fromkeys(self._of(subject_app(event), self.items), event.position)

    def _follow(self, event: Recorded[Event]) -> None:
        """Take in an app's end, its return, or its end for good."""
        data = event.data
        if isinstance(data, AppDestroyed):
            self._destroyed.add(data.app)
            self._parked |= {id_: self.items.pop(id_) for id_ in self._of(data.app, self.items)}
        elif isinstance(data, AppRestored):
            self._destroyed.discard(data.app)
            for end in self._of(data.app, self.items):  # what asks for its end, which is over
                self._drop(end)
            self.items |= {id_: self._parked.pop(id_) for id_ in self._of(data.app, self._parked)}
        elif isinstance(data, AppShredded):
            for lost in self._of(data.app, self._parked):
                self._drop(lost)
            self._unsettled.pop(data.app, None)

    def _of(self, app: str, items: dict[str, Recorded[Event]]) -> list[str]:
        """The ids of those items that are the app's."""
        return [id_ for id_, event in items.items() if subject_app(event) == app]

    def _drop(self, id_: str) -> None:
        for kept in (self.items, self._parked, self._attempts, self.heard):
            kept.pop(id_, None)

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
