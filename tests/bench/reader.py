"""A process that reads a log, for tests/bench/log.py.

tail URL POSITION COUNT   follows the log from POSITION on: a line when it begins, one for each event, and at the end a
                          JSON array of when each was there, by time.monotonic()
replay URL SNAPSHOT       folds the whole log as an embedded instance does, writes a snapshot, and starts again from it:
                          a JSON object of seconds and megabytes
"""

import gc
import json
import resource
import sys
import time
from pathlib import Path

from services.eventlog import EventLog, open_log
from services.projections import Projections
from services.snapshots import Snapshots
from tests import fleet

LOOK = 0.0002


def tail(log: EventLog, position: str, count: str) -> None:
    """See above."""
    after, seen = int(position), list[float]()
    print("ready", flush=True)
    while len(seen) < int(count):
        for event in log.read(after):
            seen.append(time.monotonic())
            after = event.position
            print(after, flush=True)
        time.sleep(LOOK)
    print(json.dumps(seen))


def replay(log: EventLog, path: str) -> None:
    """See above."""
    list(fleet.folds())  # what is imported takes as long with an empty log
    snapshots = Snapshots(Path(path), "the bench's")
    Path(path).unlink(missing_ok=True)
    start, cpu = time.perf_counter(), time.process_time()
    whole = started(log, None)
    told = {"replay": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    start = time.perf_counter()
    snapshots.save(whole.snapshot())
    told |= {"keep": time.perf_counter() - start, "snapshot": Path(path).stat().st_size / 1e6}
    told["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    del whole
    gc.unfreeze()
    gc.collect()
    start = time.perf_counter()
    started(log, snapshots)
    told["restart"] = time.perf_counter() - start
    print(json.dumps(told))


def started(log: EventLog, snapshots: Snapshots | None) -> Projections:
    """What an embedded instance has folded when it is ready."""
    projections = Projections(log, snapshots)
    for name, fold in fleet.folds():
        projections.add(fold, name)
    projections.catch_up()
    return projections


if __name__ == "__main__":
    command, url, *rest = sys.argv[1:]
    {"tail": tail, "replay": replay}[command](open_log(url)[0], *rest)
