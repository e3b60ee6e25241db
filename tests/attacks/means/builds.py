"""How the places for builds are attacked: by builds that last."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.attacks.neighbour import Neighbour
from tests.e2e.apps import SLOW
from tests.e2e.harness import Checkout, wait_for

SECONDS = 6


@contextmanager
def long_builds(user: Neighbour, number: int) -> Iterator[list[str]]:
    """Push to so many apps at once, whose builds take a while; gives what git said of those that ended."""
    backend = SLOW["slow/backend.py"].replace("time.sleep(2)", f"time.sleep({SECONDS})")
    apps, said = [f"{user.app}-{each}" for each in range(number)], list[str]()
    checkout = Checkout.of({**SLOW, "slow/backend.py": backend}, user.key.parent / "slow", user.instance)

    def push(app: str) -> None:
        with user.place.inside():
            said.append(checkout.push(app, check=False).stderr)

    threads = [threading.Thread(target=push, args=(app,)) for app in apps]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: built(user, "build.started") > 1, "two builds")
        yield said
    finally:
        for thread in threads:
            thread.join()


def built(user: Neighbour, kind: str) -> int:
    """How many events of a kind the user's builds have recorded."""
    return len(user.ssh("events", "--type", kind, "--actor", user.name).stdout.splitlines())
