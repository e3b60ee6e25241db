"""A process of the platform in which something fails: `python -m tests.real.mortal DIE DEADLINE HOW [SERVICE]`.

It fails once the file DIE is there. HOW is `thread` (a thread of the last service), `stuck` (the same, and the process
hangs while it stops), or `post` (a part that is no service's). Nothing of it is in the product.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import Any


def main(die: Path, deadline: float, how: str, services: list[str]) -> int:
    """Run the services, or all, until it fails."""
    os.environ.update(EVENTLET_HUB="asyncio", EVENTLET_NO_GREENDNS="yes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import eventlet
    eventlet.monkey_patch()

    from nameko.extensions import Entrypoint

    from services import ending, post, process, runner, serving

    def fail(*_: object) -> None:
        while not die.exists():
            eventlet.sleep(0.02)
        raise BaseException("made to fail")  # no Exception: nameko would not notice this one

    class Fails(Entrypoint):  # type: ignore[misc]
        def start(self) -> None:
            self.container.spawn_managed_thread(fail)

        def stop(self) -> None:
            if how == "stuck":
                eventlet.patcher.original("time").sleep(60)

    victim = (services or runner.SERVICES)[-1]
    original = serving.service_class

    def service_class(name: str) -> type:
        mortal: Any = Fails.decorator(lambda self: None)
        return type("Service", (original(name),), {"mortal": mortal}) if name == victim else original(name)

    ending.DEADLINE = deadline
    if how == "post":
        post.Post.run = fail  # type: ignore[method-assign]
    else:
        serving.service_class = service_class
    return process.main(services)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4:]))
