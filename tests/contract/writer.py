"""Other processes at the same log, for test_many_processes.py: one for each of NAMES (joined by commas), begun at once.

They print a line for each thing they have done, as soon as it is done.

append URL NAMES COUNT   appends COUNT events to the stream NAME, dawdling inside each transaction: the position
claim URL NAMES COUNT    claims the works 0 … for NAME: "won WORK NAME" or "lost WORK NAME"
open URL NAMES COUNT     opens the log COUNT times: the position of its head
seal URL NAMES COUNT     seals a text for each of COUNT apps: the app's number and the sealed text
"""

import multiprocessing
import random
import sys
import threading
from collections.abc import Callable

from services import chain, database
from services.chain import Cause, Draft
from services.errors import Conflict
from services.eventlog import Lease, SqlLog, open_log
from services.events import BuildStarted, work_stream
from services.keyring import Keyring

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
        say(recorded.position)


def claim(url: str, name: str, count: int) -> None:
    """See above."""
    log = SqlLog(database.connect(url), dawdling_clock)
    for work in map(str, range(count)):
        draft = Draft(work_stream(work), name, BuildStarted(app=APP, attempt=1))
        try:
            log.append([draft], CAUSE, expect={draft.stream: 0}, claim=Lease(work, name, 1))
            say("won", work, name)
        except Conflict:
            say("lost", work, name)


def open_often(url: str, _name: str, count: int) -> None:
    """See above."""
    for _ in range(count):
        log, engine = open_log(url)
        say(log.head().position)
        engine.dispose()


def seal(url: str, _name: str, count: int) -> None:
    """See above."""
    ring = Keyring(database.connect(url), bytes(32))
    for number in range(count):
        say(number, ring.seal(f"app {number}", "TOKEN", "canary"))


def say(*words: object) -> None:
    """Print a line in one piece, though others print too."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


VERBS: dict[str, Callable[[str, str, int], None]] = {
    "append": append,
    "claim": claim,
    "open": open_often,
    "seal": seal,
}


def main(verb: str, url: str, names: str, count: str) -> int:
    """Run the verb in a process for each name; returns 0 when each ended well."""
    if "," not in names:
        VERBS[verb](url, names, int(count))
        return 0
    fork = multiprocessing.get_context("fork")  # what they import takes longer than what they do
    begin = fork.Barrier(len(names.split(",")))

    def run(name: str) -> None:
        begin.wait()
        VERBS[verb](url, name, int(count))

    processes = [fork.Process(target=run, args=(name,)) for name in names.split(",")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return max(abs(process.exitcode or 0) for process in processes)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
