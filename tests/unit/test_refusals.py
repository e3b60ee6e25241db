"""What known keys were refused is kept, without secrets, and never so often as to fill the disk."""

from dataclasses import replace

import pytest

from cli.dispatch import masked, run
from cli.parsing import named
from gitreceiver import refusals
from gitreceiver.refusals import LONGEST, Refusals
from services.chain import Cause, Draft
from services.errors import BadInput, NoSuchApp, Unavailable
from services.events import AUDIT, KeyringRekeyed
from services.memorylog import MemoryLog
from tests.unit.fake_context import FakeContext

ANN = Cause("gitreceiver", "ann SHA256:x", "192.0.2.7:50000", "apps:destroy blog", "story")
BOB = replace(ANN, actor="bob SHA256:y")


class Absent(MemoryLog):
    """A log that does not answer while it is `away`."""

    away = False

    def append(self, drafts, cause, **checks):
        if self.away:
            raise Unavailable("the log's database is away")
        return super().append(drafts, cause, **checks)


class Notes:
    """Refusals on a log, with a clock that the test sets."""

    def __init__(self):
        self.now = 1000.0
        self.log = Absent()
        self.log.append([Draft(AUDIT, "keyring", KeyringRekeyed(keys=0))], ANN)  # in an empty log none is recorded
        self.refusals = Refusals(self.log, lambda: self.now)

    def add(self, cause=ANN, reason="App blog does not exist", times=1):
        for _ in range(times):
            self.refusals.add(cause, reason)

    def counts(self):
        return [(event.subject, event.data.count) for event in self.log.read(1)]


@pytest.fixture
def notes():
    return Notes()


def test_a_refusal_is_recorded_with_who_from_where_which_words_and_why(notes):
    notes.add()
    assert notes.refusals.record() is None
    [event] = notes.log.read(1)
    assert (event.stream, event.type, event.subject) == ("audit", "command.refused", "ann")
    assert (event.actor, event.origin, event.command) == (ANN.actor, ANN.origin, ANN.command)
    assert event.data.model_dump() == {"reason": "App blog does not exist", "count": 1}


def test_further_ones_within_the_minute_are_one_event_when_it_is_over(notes):
    notes.add()
    notes.refusals.record()
    notes.now += 10
    notes.add(times=499)
    notes.add(replace(ANN, command="apps:create X"), "app: no")
    assert notes.refusals.record() == 50
    assert notes.counts() == [("ann", 1)]
    notes.now += 50
    assert notes.refusals.record() is None
    assert notes.counts() == [("ann", 1), ("ann", 500)]
    last = notes.log.read(1)[-1]
    assert (last.command, last.data.reason) == ("apps:create X", "app: no")


def test_whoever_goes_on_for_an_hour_adds_an_event_a_minute(notes):
    for _ in range(3600):
        notes.add()
        notes.refusals.record()
        notes.now += 1
    assert len(notes.counts()) == 60


def test_each_key_has_a_minute_of_its_own(notes):
    notes.add()
    notes.refusals.record()
    notes.add(BOB)
    notes.refusals.record()
    assert notes.counts() == [("ann", 1), ("bob", 1)]


def test_a_key_that_was_quiet_for_a_minute_is_heard_at_once_again(notes):
    notes.add()
    notes.refusals.record()
    notes.now += 61
    notes.add()
    notes.refusals.record()
    assert notes.counts() == [("ann", 1), ("ann", 1)]


def test_a_process_that_ends_records_what_it_has_counted(notes):
    notes.add()
    notes.refusals.record()
    notes.add(times=7)
    notes.refusals.record()
    notes.refusals.record_all()
    notes.refusals.record_all()
    assert notes.counts() == [("ann", 1), ("ann", 7)]


def test_while_the_log_is_away_they_are_counted(notes):
    notes.log.away = True
    notes.add()
    with pytest.raises(Unavailable):
        notes.refusals.record()
    notes.add()
    notes.log.away = False
    notes.refusals.record()
    assert notes.counts() == [("ann", 2)]


def test_one_that_comes_while_others_are_recorded_waits_for_its_minute(notes):
    append = notes.log.append

    def slow(drafts, cause, **checks):
        notes.add()
        return append(drafts, cause, **checks)

    notes.add()
    notes.log.append = slow
    notes.refusals.record()
    notes.log.append = append
    notes.now += 60
    notes.refusals.record()
    assert notes.counts() == [("ann", 1), ("ann", 1)]


def test_an_empty_log_stays_empty_so_that_an_import_can_be_tried_again():
    log = MemoryLog()
    kept = Refusals(log)
    kept.add(ANN, "passphrase: it does not open this backup")
    assert kept.record() is None
    assert log.head().position == 0
    log.append([Draft(AUDIT, "keyring", KeyringRekeyed(keys=0))], ANN)
    assert kept.record() is None
    assert log.head().position == 1


def test_long_words_are_cut(notes):
    notes.add(replace(ANN, command="apps:create " + "x" * 9000), "y" * 9000)
    notes.refusals.record()
    [event] = notes.log.read(1)
    assert len(event.command) == len(event.data.reason) == LONGEST + 1


SECRET = "s3cr3t-c4n4ry"


def kept(*argv, **given):
    """What is kept of a command line's refusal: None, or the command and the reason."""
    told, context = [], FakeContext(**given)
    run(context, argv, lambda command, error: told.append((command, error)))
    if f"={SECRET}" in "".join(argv):
        assert SECRET not in (context.out + context.err).decode()
    kept = [
        (masked(argv), refusals.sentence(argv, error)) for command, error in told if refusals.counts(command, error)
    ]
    return kept[0] if kept else None


@pytest.mark.parametrize(
    ("argv", "command", "reason"),
    [
        (["apps:create", "BAD"], "apps:create BAD", 'app: "BAD" is not an app name'),
        (["apps:destroy", "--force", "blog"], "apps:destroy --force blog", "App blog does not exist"),
        (["apps:destroy", "blog"], "apps:destroy blog", "App blog does not exist"),
        (["ps:scale", "blog", "web=-1"], "ps:scale blog web=-1", "scale"),
        (["apps:create"], "apps:create", "missing argument"),
        (["domains:add", "blog", "a b"], "domains:add blog 'a b'", "host name"),
        (["ssh-keys:remove", "nobody"], "ssh-keys:remove nobody", "there is no key"),
        (["frobnicate"], "frobnicate", "there is no such command"),
        (["--quiet", "apps:creat", "blog"], "apps:creat ***", "there is no such command"),
    ],
)
def test_changes_that_were_not_made_and_unknown_commands_are_kept(argv, command, reason):
    found = kept(*argv)
    assert found is not None
    assert found[0] == command
    assert reason in found[1]


@pytest.mark.parametrize(
    "argv",
    [
        ["config:get", "blog", "KEY"],
        ["apps:exists", "blog"],
        ["logs", "blog"],
        ["domains:report", "BAD"],
        ["--bad", "help"],
    ],
)
def test_what_a_look_misses_is_not_kept(argv):
    assert kept(*argv) is None


@pytest.mark.parametrize("argv", [["apps:create", "blog"], ["apps:list"], ["config:set", "blog", "A=1"]])
def test_a_missing_permission_is_kept_whatever_was_asked_for(argv):
    assert kept(*argv, held=frozenset()) == (masked(argv), f"{argv[0]}: permission denied")


def test_a_part_that_does_not_answer_refuses_nothing():
    assert kept("apps:create", "blog", fault=Unavailable("configsvc did not answer")) is None
    assert kept("apps:create", "blog", fault=RuntimeError("a fault")) is None


@pytest.mark.parametrize(
    "argv",
    [
        ["config:set", f"PASSWORD={SECRET}"],
        ["config:set", f"{SECRET}=1"],
        ["config:set", "hello", SECRET],
        ["config:set", "hello", f'1"{SECRET}"=x'],
        ["config:set", "hello", f"1{SECRET}=x"],
        ["config:set", "hello", f"PORT={SECRET}"],
        ["config:set", "hello", "--encoded", f"A={SECRET}"],
        ["config:set", f"--{SECRET}", "hello", "A=1"],
        ["config:set", "hello", f"A={SECRET}", f"A={SECRET}"],
        ["config:set", "hello", f"A={SECRET}\0"],
        ["config:unset", "hello", f"A={SECRET}"],
        ["config:unset", f"A={SECRET}"],
        ["confg:set", "hello", f"A={SECRET}"],
        [f"PASSWORD={SECRET}", "config:set", "hello"],
    ],
)
def test_no_secret_stands_in_what_is_kept_or_said(argv):
    found = kept(*argv)
    assert found is not None
    assert SECRET not in "".join(found)


def test_the_command_that_a_line_names_is_known_however_the_rest_reads():
    assert named(["--quiet", "apps:create", "BAD", "BAD"]).name == "apps:create"
    assert named(["delete"]).name == "apps:destroy"
    assert named(["--bogus", "apps:create"]) is None
    assert not refusals.counts(None, BadInput("--bogus: is not a global flag"))
    assert not refusals.counts(named(["logs"]), NoSuchApp.named("blog"))
