"""A process of the platform, `python -m services.process [SERVICE]`: one service, or every one, on one loop.

nameko's workers and the SSH door share one thread, eventlet on asyncio's loop. Both must be set up before anything
else is imported, so this module imports nothing before that, and `pushlog up` and `pushlog service` run it as a fresh
process.
"""

import os
import sys
import warnings
from collections.abc import Sequence


def main(services: Sequence[str]) -> int:
    """Run the services of these names, or all, until told to stop; returns the exit code."""
    os.environ.update(EVENTLET_HUB="asyncio", EVENTLET_NO_GREENDNS="yes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eventlet announces its end at every import; nameko is built on it
        import eventlet
    eventlet.monkey_patch()

    from services.runner import SERVICES, guarded
    from services.serving import serve
    from services.settings import load

    return guarded(lambda: serve(load(), services or SERVICES))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
