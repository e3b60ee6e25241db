"""The log as an instance uses it: eventlet in the standard library's place, calls in threads of their own.

`python -m tests.contract.green URL OWNER_URL` prints one JSON object.
"""

import os

os.environ.update(EVENTLET_HUB="asyncio", EVENTLET_NO_GREENDNS="yes")

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import eventlet

eventlet.monkey_patch()

import json
import sys
import threading

import psycopg
from eventlet import tpool

from services.chain import Cause, Draft
from services.errors import Unavailable
from services.eventlog import EventLog, Lease, open_log
from services.events import BuildStarted
from services.keyring import Keyring
from services.offloop import OffLoop

APP = "0190a8c0-0000-7000-8000-000000000001"
CAUSE = Cause("builder", "local")
TICKS = 20


def draft(stream: str, attempt: int = 1) -> Draft:
    """Something to append."""
    return Draft(stream, "blog", BuildStarted(app=APP, attempt=attempt))


def many_at_once(log: EventLog, ring: Keyring) -> int:
    """Forty green threads, and a thread that eventlet made green, at one log; returns how often that one renewed."""
    lease, done = Lease("w", "one", 1), threading.Event()
    log.take(lease, None)

    def renew() -> None:
        while not done.is_set():
            log.renew(lease)

    thread = threading.Thread(target=renew)
    thread.start()
    pool = eventlet.GreenPool()
    for number in range(20):
        pool.spawn(lambda name: [log.append([draft(name, n)], CAUSE) for n in (1, 2, 3)], f"stream/{number}")
        pool.spawn(ring.seal, APP, "TOKEN", "canary")
    pool.waitall()
    done.set()
    thread.join()
    return log.leases()["w"][1]


def others_go_on(log: EventLog, owner_url: str) -> int:
    """An append waits for a lock that is given back only once the loop has turned; returns the append's position."""
    other = tpool.execute(psycopg.connect, owner_url)
    tpool.execute(other.execute, "SELECT * FROM head FOR UPDATE")
    waiting = eventlet.spawn(log.append, [draft("waits")], CAUSE)
    for _ in range(TICKS):
        eventlet.sleep(0.01)
    tpool.execute(other.close)
    return waiting.wait()[0].position


def comes_back(log: EventLog, owner_url: str) -> list[str]:
    """What twenty appends give while the database ends every session again and again."""
    with tpool.execute(psycopg.connect, owner_url, autocommit=True) as other:
        results = []
        for number in range(20):
            ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            tpool.execute(other.execute, ended + " AND datname = current_database()")
            try:
                log.append([draft("comes back", number + 1)], CAUSE)
                results.append("appended")
            except Unavailable as error:
                results.append(str(error))
        return results


def main(url: str, owner_url: str) -> None:
    """Run every scene."""
    off_loop = OffLoop()
    opened, engine = tpool.execute(open_log, url)
    log, ring = off_loop.wrap(opened), off_loop.wrap(Keyring(engine, bytes(32)))
    said = {
        "beats": many_at_once(log, ring),
        "position after the lock": others_go_on(log, owner_url),
        "after ended sessions": sorted(set(comes_back(log, owner_url))),
        "streams": sorted({r.stream for r in log.read()}),
        "head": log.head().position,
    }
    print(json.dumps(said), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
