"""A command that a dying broker delivers twice acts once, and is answered alike."""

from typing import Any, cast

import pytest

from configsvc import answers
from configsvc.ports import Ports
from configsvc.state import State
from services import commands
from services.chain import Cause, uuid7
from services.decide import Decision, commit
from services.errors import Refused
from services.projections import Projections
from tests.unit.story import Story


def asked(story=None):
    """A command's cause, as it crosses the bus."""
    cause = Cause("gitreceiver", "me SHA256:x", "192.0.2.1", "a command", story or uuid7())
    return {name: getattr(cause, name) for name in Cause.__slots__}


class Configsvc(Story):
    """Two processes of configsvc on one log."""

    def __init__(self):
        super().__init__()
        self.one, self.two = self.process(), self.process()

    def process(self):
        state, projections = State(), Projections(self.log)
        projections.add(state)
        keyring = cast(Any, None)  # which no command asks
        return Ports(self.log, projections, state, "example.com", keyring, 0, 4079)


@pytest.fixture
def configsvc():
    return Configsvc()


def test_a_command_that_comes_again_to_any_process_records_nothing_and_is_answered_as_the_first_time(configsvc):
    create, config, destroy = asked(), asked(), asked()
    created = answers.create_app(configsvc.one, "hello", create, None)
    changed = answers.change_config(configsvc.one, "hello", {"A": "sealed"}, [], True, config)
    answers.change_config(configsvc.one, "hello", {}, ["A"], True, asked())
    before = configsvc.log.head()
    for again in (configsvc.one, configsvc.two, configsvc.process()):
        assert answers.create_app(again, "hello", create, None) == created
        assert answers.change_config(again, "hello", {"A": "sealed"}, [], True, config) == changed
    assert configsvc.log.head() == before
    destroyed = answers.destroy_app(configsvc.two, "hello", destroy)
    assert answers.destroy_app(configsvc.one, "hello", destroy) == destroyed
    answers.create_app(configsvc.one, "other", asked(), None)
    with pytest.raises(Refused, match="taken"):
        answers.create_app(configsvc.two, "other", asked(), None)


def test_a_command_that_another_process_records_in_the_same_moment_is_not_recorded_twice(configsvc):
    cause, one, two = asked(), configsvc.one, configsvc.two
    theirs = []

    def decide():
        if not theirs:
            theirs.append(answers.create_app(two, "hello", cause, None))
        return answers.apps.create(one.state, "00000000-0000-4000-8000-00000000000a", "hello", "example.com")

    mine = commit(one.log, one.projections, decide, Cause(**cause).by("configsvc"))
    assert mine[0].data.app == theirs[0]["app"]
    assert configsvc.log.head().position == len(mine)


def test_what_another_service_or_an_event_does_in_a_commands_story_is_not_that_command(configsvc):
    one, cause = configsvc.one, Cause(**asked())
    answers.create_app(one, "hello", asked(cause.correlationid), None)
    assert commit(one.log, one.projections, lambda: Decision([]), cause) == []
    created = configsvc.log.read()[0]
    assert commit(one.log, one.projections, lambda: Decision([]), Cause.after("configsvc", created)) == []


def test_only_the_last_commands_are_kept_in_mind(configsvc, monkeypatch):
    monkeypatch.setattr(commands, "KEPT", 2)
    causes = [asked() for _ in range(3)]
    for name, cause in zip("abc", causes, strict=True):
        answers.create_app(configsvc.one, name * 3, cause, None)
    with pytest.raises(Refused):
        answers.create_app(configsvc.one, "aaa", causes[0], None)
    answers.create_app(configsvc.one, "bbb", causes[1], None)
