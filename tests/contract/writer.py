"""Another process at the same log, for test_sqlite.py. It prints a line for each thing it has done, at once.

append URL NAME COUNT   appends COUNT events to the stream NAME, dawdling inside each transaction
claim URL NAME COUNT    claims the works work/0 … for NAME: "won N" or "lost N"
open URL COUNT          opens the log COUNT times
"""

import random
import sys
import threading

from services import chain, database
from services.chain import Cause, Draft
from services.errors import Conflict
from services.eventlog import Lease, SqlLog, open_log
from services.events import BuildStarted, work_stream

APP = "0190a8c0-0000-7000-8000-000000000001"
CAUSE = Cause("builder", "local")


def dawdling_clock() -> str:
    """The log asks for the time between BEGIN and COMMIT."""
    threading.Event().wait(random.random() * 0.002)
    return chain.now()


def append(url: str, name: str, count: int) -> None:
    """See above."""
    log = SqlLog(database.connect(url), dawdling_clock)
    for attempt in range(1, count + 1):
        [recorded] = log.append([Draft(name, name, BuildStarted(app=APP, attempt=attempt))], CAUSE)
        print(recorded.position, flush=True)


def claim(url: str, name: str, count: int) -> None:
    """See above."""
    log = SqlLog(database.connect(url), dawdling_clock)
    for work in map(str, range(count)):
        draft = Draft(work_stream(work), name, BuildStarted(app=APP, attempt=1))
        try:
            log.append([draft], CAUSE, expect={draft.stream: 0}, claim=Lease(work, name, 1))
            print("won", work, flush=True)
        except Conflict:
            print("lost", work, flush=True)


def open_often(url: str, count: int) -> None:
    """See above."""
    for _ in range(count):
        log, engine = open_log(url)
        print(log.head().position, flush=True)
        engine.dispose()


if __name__ == "__main__":
    verb, url, *rest = sys.argv[1:]
    if verb == "open":
        open_often(url, int(rest[0]))
    else:
        {"append": append, "claim": claim}[verb](url, rest[0], int(rest[1]))
