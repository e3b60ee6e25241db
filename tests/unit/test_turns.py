"""Whose commands wait for each other."""

import pytest

from gitreceiver.turns import Turn, Turns

ANNE = "anne SHA256:a"


@pytest.mark.parametrize("line", ["logs -t hello", "events", "log:replay", "apps:exists hello --at 5", "apps --at=5"])
def test_a_keys_commands_that_read_much_take_turns(line):
    turns = Turns()
    with turns.of(ANNE, line.split()):
        assert turns.of(ANNE, ["events"])._lock.locked()
        assert not turns.of("ben SHA256:b", ["events"])._lock.locked()
        assert not turns.of("local", line.split())._lock.locked()
        assert not turns.of(ANNE, ["apps:exists", "hello"])._lock.locked()


def test_who_waits_lets_others_have_their_turn():
    turns = Turns()
    with turns.of(ANNE, ["events"]) as turn:
        with turn.apart(), turns.of(ANNE, ["log:replay"]):
            pass
        assert turns.of(ANNE, ["events"])._lock.locked()


def test_a_key_rests_as_long_as_a_piece_of_work_took_and_a_second_at_most():
    rests, now = [], iter([10.0, 10.25, 20.0, 50.0])
    lock = Turns()._locks[ANNE]
    turn = Turn(lock, lambda: next(now), rests.append)
    with turn, turn.apart():
        pass
    assert rests == [0.25, 1.0]
    assert not lock.locked()
