"""Use an instance at random for some minutes, break it on purpose, and check after each act that everything agrees.

The first half kills and restarts the platform, too; in the second half it runs through, and its memory and descriptors
must stay flat. Ends with a table; the exit code is 1 when anything disagreed. One seed is one sequence of acts.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from random import Random

from tests import postgres, rabbitmq
from tests.bench.idle import pss
from tests.e2e.cluster import Cluster
from tests.e2e.harness import Instance
from tests.soak.acts import USUAL, VIOLENT, Act, Soak, create
from tests.soak.agreement import Agreement


@dataclass
class Sample:
    """What the platform's processes held at a moment: MB of memory, and descriptors by kind."""

    memory: float
    descriptors: Counter[str]

    @classmethod
    def now(cls, pids: Sequence[int]) -> "Sample":
        return cls(sum(map(pss, pids)), Counter(kind for pid in pids for kind in kinds(pid)))


def kinds(pid: int) -> Iterator[str]:
    """What each descriptor of a process is: the name of a file, or what else it is."""
    unix = {line.split()[6]: line.split()[7:] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            target = os.readlink(link)
            if target.startswith("socket:"):
                yield "local connection" if target[8:-1] in unix else "TCP connection"
            else:
                yield target.partition(":")[0] if target[0] != "/" else Path(target).name


def main() -> int:
    """Soak as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="script/soak", description=__doc__)
    parser.add_argument("minutes", type=float, metavar="MINUTES")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="(a new one)")
    parser.add_argument("--cluster", action="store_true", help="a process per service, on PostgreSQL and RabbitMQ")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="pushlog-soak-") as folder, ExitStack() as stack:
        Path(folder).chmod(0o711)  # nginx's workers pass through
        instance = (cluster if asked.cluster else embedded)(Path(folder), stack)
        stack.callback(instance.purge)
        instance.start()
        return run(Soak(instance, Path(folder), Random(asked.seed)), asked.minutes * 60, asked.seed)


def embedded(folder: Path, stack: ExitStack) -> Instance:
    """An instance of one process, which does not run yet."""
    return Instance(folder / "home", f"soak-{os.getpid()}")


def cluster(folder: Path, stack: ExitStack) -> Instance:
    """One of a process per service, with a broker and a database server that go when `stack` ends."""
    (folder / "rabbitmq").mkdir()
    broker, server = rabbitmq.started(folder / "rabbitmq"), postgres.Server()
    stack.callback(broker.close)
    stack.callback(server.remove)
    database = stack.enter_context(server.database())
    urls = {"LOG_URL": database.url, "LOG_OWNER_URL": database.owner_url, "BROKER_URL": broker.url()}
    return Cluster(folder / "home", f"soak-{os.getpid()}", urls=urls)


def run(soak: Soak, seconds: float, seed: int) -> int:
    """Act until `seconds` are over, and say what was seen."""
    start, done, agreement = time.monotonic(), Counter[str](), Agreement(soak)
    samples: list[Sample] = []
    disagreement = ""
    for _ in range(3):
        create(soak)
    while not disagreement and (passed := time.monotonic() - start) < seconds:
        acts = {**USUAL, **VIOLENT} if passed < seconds / 2 else USUAL
        act: Act = soak.random.choices(list(acts), list(acts.values()))[0]
        say(f"{passed:5.0f} s, {sum(done.values())} acts, {len(soak.checkouts)} apps: {act.__name__}")
        try:
            act(soak)
            agreement.check()
        except AssertionError as error:
            disagreement = f"after {act.__name__}: {error}"
        done[act.__name__] += 1
        if passed >= seconds / 2:
            samples.append(Sample.now(soak.instance.pids))
    print(table(soak, done, samples, agreement, time.monotonic() - start, seed))
    if disagreement:
        print(f" !     {disagreement}", *(path.read_text()[-4000:] for path in logs(soak)), sep="\n")
    return 1 if disagreement else 0


def table(
    soak: Soak, done: Counter[str], samples: list[Sample], agreement: Agreement, seconds: float, seed: int
) -> str:
    """What a soak came to."""
    lines = [f"{seconds / 60:.0f} minutes, seed {seed}: {sum(done.values())} acts, {len(agreement.events)} events, "]
    lines[0] += f"{len(soak.checkouts)} apps at the end"
    lines += [f"  {count:4}  {name.replace('_', ' ')}" for name, count in done.most_common()]
    if samples:
        quarter = max(1, len(samples) // 4)
        parts = samples[:quarter], samples[-quarter:]
        for title, part in zip(("first", "last"), parts, strict=True):
            memory = sum(sample.memory for sample in part) / len(part)
            descriptors = sum(sample.descriptors.total() for sample in part) / len(part)
            lines.append(f"  {title} quarter of the quiet half: {memory:.0f} MB, {descriptors:.0f} descriptors")
        first, last = (sum((sample.descriptors for sample in part), Counter[str]()) for part in parts)
        grown = {kind: (last[kind] - first[kind]) / quarter for kind in last if last[kind] > first[kind] + quarter}
        lines += [f"    {more:+.0f} {kind}" for kind, more in grown.items()]
    return "\n".join(lines)


def logs(soak: Soak) -> Iterator[Path]:
    """What the platform's processes said of themselves."""
    return chain(soak.folder.glob("soak-*.log"), soak.instance.home.glob("pushlog.log*"))


def say(text: str) -> None:
    """Show how far it is, on stderr."""
    print(f"-----> {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
