"""A process of one service that kills itself at a point: `python -m tests.faults.victim SERVICE WHEN WHAT ARMED`.

WHEN is `before` or `after`; WHAT is `append:TYPE`, the append of an event of that type, or an effect on the world,
`MODULE:FUNCTION` or `MODULE:CLASS.METHOD`. The point counts once the file ARMED is there. Nothing of it is in the
product: the function is wrapped here, before the service starts as it always does.
"""

import functools
import importlib
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

Hits = Callable[..., bool]


def main(service: str, when: str, what: str, armed: Path) -> int:
    """Run the service until it kills itself."""
    os.environ.update(EVENTLET_HUB="asyncio", EVENTLET_NO_GREENDNS="yes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import eventlet
    eventlet.monkey_patch()

    from services import process

    kind, _, name = what.partition(":")
    if kind == "append":
        wrap("services.eventlog", "SqlLog.append", when, armed, lambda log, drafts, *_, **__: appends(drafts, name))
    else:
        wrap(kind, name, when, armed, lambda *_, **__: True)
    return process.main([service])


def appends(drafts: Any, wanted: str) -> bool:
    """Whether an event of the type `wanted` is among what is appended."""
    return wanted in {draft.event.TYPE for draft in drafts}


def wrap(module: str, name: str, when: str, armed: Path, hits: Hits) -> None:
    """Put a function of `module` in its own place that dies before or after it, if the call `hits` and it is time."""
    owner: Any = importlib.import_module(module)
    *classes, function = name.split(".")
    for cls in classes:
        owner = getattr(owner, cls)
    original = getattr(owner, function)

    @functools.wraps(original)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        dies = hits(*args, **kwargs) and armed.exists()
        if dies and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, function, deadly)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4], Path(sys.argv[4])))
