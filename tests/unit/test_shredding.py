"""A destroyed app's grace: how long it can be had back, and what ends that."""

from datetime import UTC, datetime, timedelta

import pytest

from configsvc import apps, on_app_shredded, shredding
from configsvc.ports import Ports
from services import database
from services.errors import NotOpenable
from services.keyring import Keyring
from tests.unit.story import APP, OTHER
from tests.unit.test_configsvc import DOMAIN, Platform

GRACE = 3600.0


class Shredder(Platform):
    """A platform whose configsvc looks at a clock that the test sets."""

    def __init__(self, engine):
        super().__init__()
        self.keyring = Keyring(engine, bytes(32))
        self.ports = Ports(self.log, self.projections, self.state, DOMAIN, self.keyring, GRACE, 4079)

    def look(self, seconds):
        """Look so many seconds after the app was destroyed; returns when to look again."""
        destroyed = next(event for event in self.log.read() if event.type == "app.destroyed")
        return shredding.shred_due(self.ports, datetime.fromisoformat(destroyed.time) + timedelta(seconds=seconds))

    @property
    def types(self):
        return [event.type for event in self.log.read()]


@pytest.fixture
def platform(tmp_path):
    engine = database.connect(f"sqlite:///{tmp_path / 'keys.sqlite'}")
    platform = Shredder(engine)
    platform.create()
    yield platform
    engine.dispose()


def test_within_its_grace_a_destroyed_app_is_looked_at_again_when_that_ends(platform):
    platform.do(apps.destroy, "hello")
    assert platform.look(10) == shredding.LOOK
    assert platform.look(GRACE - 5) == pytest.approx(5)
    assert "app.shredded" not in platform.types


def test_after_its_grace_it_is_shredded_once_because_of_who_destroyed_it(platform):
    platform.do(apps.destroy, "hello")
    platform.look(GRACE)
    platform.look(GRACE + 1)
    assert platform.types.count("app.shredded") == 1
    *_, destroyed, shredded = platform.log.read()
    assert (shredded.causationid, shredded.actor) == (destroyed.id, destroyed.actor)
    assert platform.state.gone == {}


def test_an_end_that_a_wrong_clock_put_off_to_the_last_of_days_stops_nothing(platform):
    platform.do(apps.destroy, "hello")
    gone = platform.state.gone[APP]
    gone.destroyed = gone.destroyed._replace(time="9999-12-31T23:59:59.999999Z")
    assert shredding.shred_due(platform.ports, datetime.now(UTC)) == shredding.LOOK
    assert "app.shredded" not in platform.types


def test_two_that_look_at_once_record_it_once(platform):
    platform.do(apps.destroy, "hello")
    destroyed = platform.state.gone[APP].destroyed
    shredding.shred(platform.ports, destroyed)
    shredding.shred(platform.ports, destroyed)
    assert platform.types.count("app.shredded") == 1


def test_destroying_for_good_records_both_in_one_append(platform):
    recorded = platform.do(apps.destroy, "hello", True)
    assert [event.type for event in recorded] == ["domain.freed", "name.freed", "app.destroyed", "app.shredded"]
    assert platform.look(0) == shredding.LOOK


def test_what_is_shredded_cannot_be_read_and_leaves_no_key(platform):
    sealed = platform.keyring.seal(APP, "A", "secret")
    platform.do(apps.destroy, "hello")
    on_app_shredded.mend(platform.ports)
    assert platform.keyring.open(APP, "A", sealed) == "secret"
    platform.look(GRACE)
    on_app_shredded.mend(platform.ports)
    with pytest.raises(NotOpenable):
        platform.keyring.open(APP, "A", sealed)
    assert platform.keyring.apps() == set()


def test_a_name_that_is_another_apps_by_now_is_no_matter(platform):
    platform.do(apps.destroy, "hello")
    platform.create(app=OTHER)
    platform.look(GRACE)
    assert platform.state.names == {"hello": OTHER}
