"""What a key asked for is recorded only if it may still enter in that moment."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from gitreceiver.ports import Ports
from gitreceiver.removals import Removals
from gitreceiver.state import State
from services.chain import Cause, Draft
from services.decide import Decision, commit
from services.errors import Refused
from services.events import AppCreated, KeyAdded, KeyRemoved, app_stream, key_stream
from tests.unit.story import APP, Story

FINGERPRINT = "SHA256:" + "k" * 43
KEY = f"ssh-ed25519 {'A' * 68}"
ASKER = Cause("gitreceiver", f"ann {FINGERPRINT}", "192.0.2.1:7", "apps:create hello", "a story")
CREATED = Decision([Draft(app_stream(APP), "hello", AppCreated(app=APP, name="hello"))])


class Keys(Story):
    """A log with a key, and the door's view of it."""

    def __init__(self) -> None:
        self.state, self.removals = State(), Removals()
        super().__init__(self.state)
        self.projections.listen(self.removals)
        self.projections.catch_up()
        self.add()

    def add(self) -> None:
        self.record(KeyAdded(name="ann", fingerprint=FINGERPRINT, public_key=KEY), stream=key_stream(FINGERPRINT))

    def remove(self) -> None:
        self.log.append(
            [Draft(key_stream(FINGERPRINT), "ann", KeyRemoved(name="ann", fingerprint=FINGERPRINT))],
            Cause("other process", "local"),
        )

    def version(self, actor: str) -> int:
        return Ports.key_version(cast(Ports, SimpleNamespace(state=self.state)), actor)

    def asker(self) -> Cause:
        return replace(ASKER, key_version=self.version(ASKER.actor))


@pytest.fixture
def keys() -> Keys:
    return Keys()


def types(keys: Keys) -> list[str]:
    return [event.type for event in keys.log.read()]


def test_a_key_that_may_enter_records(keys):
    commit(keys.log, keys.projections, lambda: CREATED, keys.asker())
    assert types(keys) == ["key.added", "app.created"]


def test_a_key_that_was_removed_since_it_asked_records_nothing(keys):
    asker = keys.asker()
    keys.remove()
    with pytest.raises(Refused, match="This key was removed"):
        commit(keys.log, keys.projections, lambda: CREATED, asker)
    assert types(keys) == ["key.added", "key.removed"]


def test_a_key_that_is_removed_between_the_decision_and_the_append_records_nothing(keys):
    def decide() -> Decision:
        keys.remove()
        return CREATED

    with pytest.raises(Refused, match="This key was removed"):
        commit(keys.log, keys.projections, decide, keys.asker())
    assert types(keys) == ["key.added", "key.removed"]


def test_a_key_that_was_removed_and_added_again_has_to_ask_again(keys):
    asker = keys.asker()
    keys.remove()
    keys.add()
    with pytest.raises(Refused, match="This key was removed"):
        commit(keys.log, keys.projections, lambda: CREATED, asker)
    commit(keys.log, keys.projections, lambda: CREATED, keys.asker())


def test_a_key_may_record_its_own_removal(keys):
    removed = Draft(key_stream(FINGERPRINT), "ann", KeyRemoved(name="ann", fingerprint=FINGERPRINT))
    commit(keys.log, keys.projections, lambda: Decision([removed], {removed.stream: 1}), keys.asker())
    assert types(keys) == ["key.added", "key.removed"]


def test_no_session_begins_with_a_removed_key_and_local_has_none(keys):
    keys.remove()
    keys.projections.catch_up()
    with pytest.raises(Refused, match="This key was removed"):
        keys.version(ASKER.actor)
    assert keys.version("local") == 0


def test_what_services_do_because_of_a_key_goes_on_without_it(keys):
    created = commit(keys.log, keys.projections, lambda: CREATED, keys.asker())[0]
    assert Cause.after("configsvc", created).authority == {}


def test_removals_are_told_as_they_are_read(keys):
    told: list[str] = []
    keys.removals.tell(told.append)
    keys.remove()
    keys.projections.catch_up()
    assert told == [FINGERPRINT]
