"""Work on several containers at once."""

import threading
from functools import partial

import pytest

from services.errors import Refused
from services.tasks import AT_ONCE, side_by_side


def test_tasks_run_at_the_same_time() -> None:
    together = threading.Barrier(AT_ONCE)

    side_by_side([partial(together.wait, 10)] * AT_ONCE)


def test_more_tasks_than_run_at_once_are_all_done() -> None:
    done: list[int] = []

    side_by_side([partial(done.append, number) for number in range(3 * AT_ONCE)])

    assert sorted(done) == list(range(3 * AT_ONCE))


def test_no_more_run_at_once_than_are_wanted() -> None:
    together, most = [0], [0]
    lock = threading.Lock()
    alone = threading.Event()

    def work() -> None:
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
        alone.wait(0.01)
        with lock:
            together[0] -= 1

    side_by_side([work] * 6, 2)

    assert most[0] <= 2


def test_no_tasks_are_done_at_once() -> None:
    side_by_side([])


def test_the_first_error_is_raised_after_all_have_ended() -> None:
    done: list[str] = []

    def fail(sentence: str) -> None:
        raise Refused(sentence)

    with pytest.raises(Refused, match="first"):
        side_by_side([partial(done.append, "before"), partial(fail, "first"), partial(fail, "second"),
                      partial(done.append, "after")])  # fmt: skip

    assert sorted(done) == ["after", "before"]
