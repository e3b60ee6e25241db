"""What `events` shows of a log: filters, the last ones, and going on exactly where one was."""

import json
import re
from datetime import datetime, timedelta
from itertools import islice
from random import Random

import pytest

from cli.commands import events as command
from cli.values import Wanted
from gitreceiver import history
from gitreceiver.called import Called
from services import chain
from services.errors import BadInput, NoSuchApp
from services.events import (
    AUDIT,
    AppCreated,
    AppDestroyed,
    CloudEvent,
    CommandRefused,
    ConfigChanged,
    KeyringRekeyed,
    NameFreed,
    NameTaken,
    name_stream,
)
from services.moments import moment
from services.projections import Projections
from tests import fleet
from tests.unit.story import APP, OTHER, Story

ANN = chain.Cause("configsvc", "ann SHA256:" + "a" * 43, "192.0.2.7:1", "apps:create hello", "")


class Told:
    """A long log that notes from where on, and how much, it was read."""

    def __init__(self, length):
        self.rows = list(islice(fleet.rows(Random(7), apps=5), length))
        self.asked = []

    def read(self, after=0, limit=1000):
        page = self.rows[after : after + limit]
        self.asked.append((after, len(page)))
        return [chain.recorded(row) for row in page]

    def head(self):
        return chain.Head(self.rows[-1][0], self.rows[-1][-1])


@pytest.fixture(scope="module")
def told():
    return Told(3000)


@pytest.fixture(scope="module")
def parts(told):
    called = Called()
    projections = Projections(told)
    projections.add(called)
    projections.catch_up()
    return projections, called


def seen(log, parts, **wanted):
    """The positions of what is shown."""
    log.asked.clear()
    batches = history.read(log, *parts, Wanted(**wanted), lambda: None)
    return [event["position"] for batch in batches for event in batch]


def at(log, position):
    return datetime.fromisoformat(log.rows[position - 1][8])


def test_all_of_it_is_shown_unless_something_else_is_wanted(told, parts):
    assert seen(told, parts) == list(range(1, 3001))


def test_since_a_position_goes_on_exactly_there_and_reads_nothing_before(told, parts):
    assert seen(told, parts, since=2990) == list(range(2991, 3001))
    assert min(after for after, _ in told.asked if after != 3000) == 2990
    assert seen(told, parts, since=3000) == []


def test_until_a_position_reads_nothing_after(told, parts):
    assert seen(told, parts, since=10, until=250) == list(range(11, 251))
    assert sum(count for _, count in told.asked) == 240


def test_since_a_time_is_inclusive_and_is_found_without_reading_the_whole_log(told, parts):
    assert seen(told, parts, since=at(told, 2900)) == list(range(2900, 3001))
    assert sum(count for _, count in told.asked) < 1200


def test_until_a_time_is_inclusive(told, parts):
    last = next(position for position in range(200, 300) if at(told, position + 1) > at(told, 200))
    assert seen(told, parts, since=100, until=at(told, 200)) == list(range(101, last + 1))
    assert seen(told, parts, until=at(told, 1) - timedelta(days=1)) == []


def test_an_event_whose_machine_has_a_slow_clock_is_found_among_its_neighbours():
    log = Told(100)
    early = at(log, 40).isoformat().replace("+00:00", "Z")
    log.rows[60] = (*log.rows[60][:8], early, *log.rows[60][9:])
    called = Called()
    projections = Projections(log)
    projections.add(called)
    found = seen(log, (projections, called), until=at(log, 50))
    assert found == [*range(1, 51), 61]


def test_the_last_ones_are_read_from_the_end(told, parts):
    assert seen(told, parts, last=5) == [2996, 2997, 2998, 2999, 3000]
    assert sum(count for _, count in told.asked) <= 200
    assert seen(told, parts, last=0) == []
    assert seen(told, parts, last=50, since=2990) == list(range(2991, 3001))
    pushes = [row[0] for row in told.rows if row[4] == "push.received"]
    assert seen(told, parts, last=30, types=("push.received",)) == pushes[-30:]


@pytest.mark.parametrize("until", [None, 2000])
def test_filters_together_show_what_fits_all_of_them(told, parts, until):
    types = ("build.*", "release.created")
    expected = [
        row[0]
        for row in told.rows[:until]
        if (row[4].startswith("build.") or row[4] == "release.created") and row[7] == "app-2"
    ]
    assert expected
    assert seen(told, parts, types=types, app="app-2", until=until) == expected


@pytest.mark.parametrize("actor", ["ann", "SHA256:" + "a" * 43])
def test_an_actor_is_named_by_name_or_fingerprint(told, parts, actor):
    assert seen(told, parts, actor=actor) == [row[0] for row in told.rows if row[9].startswith("ann SHA256")]
    assert seen(told, parts, actor="local") == [row[0] for row in told.rows if row[9] == "local"]
    assert seen(told, parts, actor="an") == []


def test_an_app_that_never_was_and_a_position_that_is_not_yet_are_refused(told, parts):
    with pytest.raises(NoSuchApp):
        seen(told, parts, app="nobody")
    with pytest.raises(BadInput, match="beyond the end"):
        seen(told, parts, since=3001)


def test_an_app_is_found_by_every_name_that_it_ever_had_and_when_it_is_gone():
    called = Called()
    story = Story(called)
    taken = story.record(NameTaken(app=APP, name="hello"), ANN, name_stream("hello"))
    story.app()
    story.record(NameFreed(app=APP, name="hello"), ANN, name_stream("hello"))
    story.record(NameTaken(app=APP, name="hi"), ANN, name_stream("hi"))
    story.record(AppCreated(app=OTHER, name="else"))
    last = story.record(AppDestroyed(app=APP, name="hi"))
    for name in ("hello", "hi"):
        batches = history.read(story.log, story.projections, called, Wanted(app=name), lambda: None)
        assert [event["position"] for batch in batches for event in batch] == [taken.position, 2, 3, 4, last.position]


def test_what_is_followed_goes_on_with_what_happens_and_ends_with_the_client():
    class Gone(Exception):
        pass

    called = Called()
    story = Story(called)
    story.app()

    def alive():
        if len(shown) == 2:
            raise Gone
        story.record(ConfigChanged(app=APP, unset=["A"]))
        story.record(KeyringRekeyed(keys=1), stream=AUDIT)

    shown = []
    wanted = Wanted(types=("config.*",), since=1, tail=True)
    batches = history.read(story.log, story.projections, called, wanted, alive)
    with pytest.raises(Gone):
        shown.extend(event["type"] for batch in batches for event in batch)
    assert shown == ["config.changed", "config.changed"]


def test_every_event_is_a_cloudevent(told):
    """As CloudEvents 1.0.2 and its JSON format say."""
    refused = Story().record(CommandRefused(reason="no", count=2), ANN, AUDIT)
    for event in [*told.read(0, 3000), refused]:
        found = json.loads(json.dumps(CloudEvent.of(event)))
        assert found["specversion"] == "1.0"
        assert all(isinstance(found[name], str) and found[name] for name in ("id", "source", "type", "subject"))
        assert re.fullmatch(r"/[a-z/]+", found["source"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found["time"])
        assert found["datacontenttype"] == "application/json"
        for name, value in found.items():
            assert re.fullmatch(r"[a-z0-9]{1,20}", name)
            if name != "data":
                assert isinstance(value, str) or -(2**31) <= value < 2**31
                assert not isinstance(value, str) or value.isprintable()


@pytest.mark.parametrize("word", ["release.created", "release.*", "x.mine.happened", "x.mine.*", "domain.*"])
def test_types_are_those_of_the_catalogue_groups_of_them_and_plugins(word):
    assert command._type(word) == word


@pytest.mark.parametrize("word", ["", "*", "release", "release*", "rel.*", "release.made", "release.*.*", "a\nb"])
def test_other_types_are_refused_in_one_sentence(word):
    with pytest.raises(BadInput, match=r"^type: .* allowed are such as release\.created, or release\.\*$"):
        command._type(word)


def test_a_time_is_compared_as_a_time():
    assert moment("2026-01-01T01:00:00+01:00") == datetime.fromisoformat("2026-01-01T00:00:00.000000Z")
