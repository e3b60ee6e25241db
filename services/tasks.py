"""Several tasks at once, each of which waits for something most of the time."""

import threading
from collections.abc import Callable, Sequence

AT_ONCE = 8


def side_by_side(tasks: Sequence[Callable[[], None]], at_once: int = AT_ONCE) -> None:
    """Run all tasks, up to `at_once` at a time; raises the first one's error after all have ended."""
    waiting, errors = iter(list(enumerate(tasks))), dict[int, BaseException]()

    def work() -> None:
        for number, task in waiting:
            try:
                task()
            except BaseException as error:  # raised below: a task that did not return is not done
                errors[number] = error

    # not an executor: that one's threads are the system's, and waiting for them would stop every other worker
    threads = [threading.Thread(target=work) for _ in tasks[:at_once]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
