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
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.bench.idle import pss
from tests.e2e.harness import Instance
from tests.soak.acts import USUAL, VIOLENT, Act, Soak, create
from tests.soak.agreement import Agreement


@dataclass
class Sample:
    """What the platform's process held at a moment: MB of memory, and descriptors."""

    acts: int
    memory: float
    descriptors: int

    @classmethod
    def now(cls, acts: int, pid: int) -> "Sample":
        return cls(acts, pss(pid), len(os.listdir(f"/proc/{pid}/fd")))


def main() -> int:
    """Soak as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="script/soak", description=__doc__)
    parser.add_argument("minutes", type=float, metavar="MINUTES")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="(a new one)")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="pushlog-soak-") as folder:
        Path(folder).chmod(0o711)  # nginx's workers pass through
        instance = Instance(Path(folder) / "home", f"soak-{os.getpid()}")
        try:
            instance.start()
            return run(Soak(instance, Path(folder), Random(asked.seed)), asked.minutes * 60, asked.seed)
        finally:
            instance.purge()


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
            samples.append(Sample.now(sum(done.values()), soak.instance.pid))
    print(table(soak, done, samples, agreement, time.monotonic() - start, seed))
    if disagreement:
        print(f" !     {disagreement}\n{(soak.instance.home / 'pushlog.log').read_text()[-4000:]}")
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
        for title, part in (("first", samples[:quarter]), ("last", samples[-quarter:])):
            memory = sum(sample.memory for sample in part) / len(part)
            descriptors = sum(sample.descriptors for sample in part) / len(part)
            lines.append(f"  {title} quarter of the quiet half: {memory:.0f} MB, {descriptors:.0f} descriptors")
    return "\n".join(lines)


def say(text: str) -> None:
    """Show how far it is, on stderr."""
    print(f"-----> {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
