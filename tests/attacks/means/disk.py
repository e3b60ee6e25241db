"""How the disk of an instance is attacked: by small pushes of trees that are large when they are unpacked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.attacks.neighbour import Neighbour

MIB = 1 << 20
FILES, SIZE = 16, 16 * MIB
"""Files of zeros in a tree, and the bytes of each: one object of the pack, which has a few KiB."""


@contextmanager
def hollow_pushes(user: Neighbour, pushes: int) -> Iterator[list[str]]:
    """Push trees of 256 MiB without a Procfile, to two apps at once; gives what git said of each."""
    said: list[str] = []
    for number in range(FILES):
        user.checkout.write(f"zeros-{number}", "\0" * SIZE)
    (user.checkout.path / "Procfile").unlink()
    user.checkout.commit()

    def push(app: str) -> None:
        with user.place.inside():
            for _ in range(pushes // 2):
                said.append(user.checkout.push(app, check=False).stderr)

    threads = [threading.Thread(target=push, args=(f"{user.app}-{number}",)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    try:
        yield said
    finally:
        for thread in threads:
            thread.join()
