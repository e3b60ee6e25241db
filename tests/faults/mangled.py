"""A process of one service that announces events badly, `python -m tests.faults.mangled SERVICE SEED`.

Of its bells 5 % are lost; the others come twice, and in threes that are shuffled.
"""

import os
import sys
import warnings
from collections.abc import Callable
from random import Random
from typing import Any

LOST = 0.05
TOGETHER = 3

Publish = Callable[[str, str, dict[str, Any]], None]


def main(service: str, seed: int) -> int:
    """Run the service."""
    os.environ.update(EVENTLET_HUB="asyncio", EVENTLET_NO_GREENDNS="yes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import eventlet
    eventlet.monkey_patch()

    from services import process
    from services.bells import Doorbell

    make: Any = Doorbell.__init__
    Doorbell.__init__ = lambda self, publish: make(self, mangling(publish, Random(seed)))  # type: ignore[method-assign]
    return process.main([service])


def mangling(publish: Publish, random: Random) -> Publish:
    """`publish`, badly."""
    held: list[tuple[str, str, dict[str, Any]]] = []

    def badly(source: str, type_: str, body: dict[str, Any]) -> None:
        if random.random() >= LOST:
            held.extend([(source, type_, body)] * 2)
        if len(held) >= 2 * TOGETHER:
            random.shuffle(held)
            while held:
                publish(*held.pop())

    return badly


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
