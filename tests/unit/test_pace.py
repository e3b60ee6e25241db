"""Who sends what takes long to read rests, and nobody else does."""

import pytest

from gitreceiver.ssh.pace import SLICE, WINDOW, Pace

REST = 4.0


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_slice_that_is_read_quickly_costs_no_rest(clock):
    assert Pace(REST, clock).rest("a", SLICE, 0.0001) == 0.0


def test_after_a_dear_slice_its_key_rests_for_several_times_as_long(clock):
    assert Pace(REST, clock).rest("a", SLICE, 0.01) == pytest.approx(0.01 * REST)


def test_the_connections_of_one_key_rest_one_after_the_other_and_another_key_does_not_wait(clock):
    pace = Pace(REST, clock)
    rests = [pace.rest("a", SLICE, 0.01) for _ in range(3)]
    assert rests == pytest.approx([0.01 * REST * n for n in (1, 2, 3)])
    assert pace.rest("b", SLICE, 0.01) == pytest.approx(0.01 * REST)


def test_what_is_over_is_forgotten(clock):
    pace = Pace(REST, clock)
    pace.rest("a", SLICE, 0.01)
    clock.now += 1
    assert pace.rest("a", SLICE, 0.01) == pytest.approx(0.01 * REST)


def test_a_slice_that_comes_in_many_reads_counts_as_one(clock):
    pace = Pace(REST, clock)
    assert [pace.rest("a", SLICE // 4, 0.0025) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert pace.rest("a", SLICE // 4, 0.0025) == pytest.approx(0.01 * REST)


def test_who_types_for_long_is_no_flood(clock):
    pace = Pace(REST, clock)
    for _ in range(8):
        assert pace.rest("a", SLICE // 4, 0.0025) == 0.0
        clock.now += WINDOW * 1.5
