"""Taking in the log: who asks has all that was recorded before, whoever reads it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from random import Random

import pytest

from services import chain
from services.chain import Draft
from services.events import AppCreated, app_stream
from services.memorylog import MemoryLog
from services.projections import Projections
from tests import fleet
from tests.unit.story import APP, OTHER, WHO, Story

PATIENCE = 10


class SlowLog(MemoryLog):
    """A log whose first read stands still, what it read in its hand, until it is let go."""

    def __init__(self):
        super().__init__()
        self.reads, self.reading, self.go_on = 0, threading.Event(), threading.Event()

    def read(self, *args):
        found = super().read(*args)
        self.reads += 1
        if self.reads == 1:
            self.reading.set()
            assert self.go_on.wait(PATIENCE)
        return found


class Positions:
    """A fold that notes what it was given."""

    def __init__(self):
        self.seen = []

    def evolve(self, event):
        self.seen.append(event.position)


def test_what_is_recorded_while_a_read_is_under_way_is_there_for_who_asks_then():
    log, positions = SlowLog(), Positions()
    projections = Projections(log)
    projections.add(positions)
    with ThreadPoolExecutor() as pool:
        early = pool.submit(projections.catch_up)
        assert log.reading.wait(PATIENCE)
        (recorded,) = log.append([Draft(app_stream(APP), "hello", AppCreated(app=APP, name="hello"))], WHO)
        late = pool.submit(projections.catch_up)
        log.go_on.set()
        assert late.result(PATIENCE) == recorded.position
        early.result(PATIENCE)
    assert positions.seen == [recorded.position]


class Broken:
    """A fold with a mistake."""

    def evolve(self, event):
        raise KeyError(event.id)


def test_a_fold_that_fails_stops_all_before_any_takes_an_event_in_twice():
    story, positions = Story(), Positions()
    story.projections.add(positions)
    story.projections.add(Broken())
    for _ in range(2):
        with pytest.raises(KeyError):
            story.app()
    assert positions.seen == [1]


def test_a_fold_that_says_what_it_takes_is_fed_nothing_else():
    story, positions = Story(), Positions()
    positions.takes = {AppCreated}
    story.projections.add(positions)
    story.app()
    story.push()
    story.app(OTHER)
    assert positions.seen == [1, 3]


def test_what_a_fold_does_not_take_would_not_change_it():
    events = [chain.recorded(row) for row in islice(fleet.rows(Random(1), apps=5, mortality=0.01), 3000)]
    for name, fed in fleet.folds():
        given_all = dict(fleet.folds())[name]
        for event in events:
            given_all.evolve(event)
            if type(event.data) in getattr(fed, "takes", {type(event.data)}):
                fed.evolve(event)
        assert fed.__getstate__() == given_all.__getstate__(), name
