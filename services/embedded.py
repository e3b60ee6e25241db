"""The process of an embedded instance, `python -m services.embedded`: every service on one loop.

nameko's workers and the SSH door share one thread, eventlet on asyncio's loop. Both must be set up before anything
else is imported, so this module imports nothing before that, and `pushlog up` runs it as a fresh process.
"""

import os
import sys
import warnings


def main() -> int:
    """Run until told to stop; returns the exit code."""
    os.environ.update(EVENTLET_HUB="asyncio", EVENTLET_NO_GREENDNS="yes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eventlet announces its end at every import; nameko is built on it
        import eventlet
    eventlet.monkey_patch()

    from services.runner import guarded, serve
    from services.settings import load

    return guarded(lambda: serve(load()))


if __name__ == "__main__":
    sys.exit(main())
