"""Whose commands wait for each other."""

import pytest

from gitreceiver.turns import STUCK, Place, Turn, Turns

ANNE = "anne SHA256:a"


@pytest.mark.parametrize("line", ["logs -t hello", "events", "log:replay", "apps:exists hello --at 5", "apps --at=5"])
def test_a_keys_commands_that_read_much_take_turns(line):
    turns = Turns()
    with turns.of(ANNE, line.split()):
        assert turns.of(ANNE, ["events"]).place.taken
        assert not turns.of("ben SHA256:b", ["events"]).place.taken
        assert not turns.of("local", line.split()).place.taken
        assert not turns.of(ANNE, ["apps:exists", "hello"]).place.taken


def test_who_waits_lets_others_have_their_turn():
    turns = Turns()
    with turns.of(ANNE, ["events"]) as turn:
        with turn.apart(), turns.of(ANNE, ["log:replay"]):
            pass
        assert turns.of(ANNE, ["events"]).place.taken


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_key_rests_as_long_as_a_piece_of_work_took_and_a_second_at_most():
    rests: list[float] = []
    clock = Clock()
    place = Place(clock)
    turn = Turn(place, rests.append)
    with turn:
        clock.now += 0.25
        with turn.apart():
            assert not place.taken
        clock.now += 30
    assert rests == [0.25, 1.0]
    assert not place.taken


def test_who_is_stuck_keeps_nobody_waiting_and_takes_no_rest_for_it():
    rests: list[float] = []
    clock = Clock()
    place = Place(clock)
    with Turn(place, rests.append):
        clock.now += STUCK
        with Turn(place, rests.append):
            clock.now += 0.125
            assert place.taken
        clock.now += 8
    assert rests == [0.125]
