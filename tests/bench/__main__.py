"""Measure Pushlog on this machine: an instance of its own is started, measured and removed. See docs/performance.md."""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from services.version import VERSION
from tests.bench.attack import attacks
from tests.bench.commands import apps_list
from tests.bench.deploys import config_set, push_flask, push_python
from tests.bench.figures import Figure, table
from tests.bench.idle import idle
from tests.bench.log import log_figures
from tests.bench.workbench import Workbench, say
from tests.e2e.harness import Instance

MEASURES: dict[str, Callable[[Workbench], Sequence[Figure]]] = {
    "push-python": lambda bench: [push_python(bench)],
    "push-flask": lambda bench: [push_flask(bench)],
    "config": lambda bench: [config_set(bench)],
    "command": lambda bench: [apps_list(bench)],
    "idle": idle,
    "attack": attacks,
}
LOG = "log"
ALL = (*MEASURES, LOG)
RUNS = 7
EVENTS = 100_000
REFERENCE = "dokku v0.2: on such a machine, * with its virtualenv cached; and 0.6-0.9 s of failed requests per deploy"


def main() -> int:
    """Measure what the command line names; 0 unless it could not be measured."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="pushlog-bench-") as folder:
        Path(folder).chmod(0o711)  # nginx's workers pass through
        figures = log_figures(Path(folder), asked.runs, asked.events) if LOG in asked.names else []
        if names := [name for name in asked.names if name != LOG]:
            figures += instance_figures(names, Path(folder), asked.runs)
    print(table(figures))
    print(f"\n{REFERENCE if names else ''}\n{about()}; {asked.runs} runs")
    if asked.json:
        report = {"about": about(), "runs": asked.runs, "figures": [asdict(figure) for figure in figures]}
        asked.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def instance_figures(names: Sequence[str], folder: Path, runs: int) -> list[Figure]:
    """What is measured on an instance, which is started for it and removed."""
    instance = Instance(folder / "home", f"bench-{os.getpid()}")
    try:
        say(f"Starting the instance {instance.name}")
        instance.start()
        bench = Workbench(instance, folder, runs)
        return [figure for name in names for figure in MEASURES[name](bench)]
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        say("Removing the instance")
        instance.purge()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(ALL)} (all)")
    parser.add_argument("--runs", type=int, default=RUNS, help="how often (%(default)s)")
    parser.add_argument("--events", type=int, default=EVENTS, help="of the log that is replayed (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there, too")
    asked = parser.parse_args()
    asked.names = asked.names or list(ALL)
    if unknown := set(asked.names) - set(ALL):
        parser.error(f"there is no figure {min(unknown)}; allowed are {', '.join(ALL)}")
    if min(asked.runs, asked.events) < 1:
        parser.error("--runs and --events: allowed are 1, 2, …")
    return asked


def about() -> str:
    """When and on what this was measured."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    name = model.partition(": ")[2] or platform.machine()
    load = os.getloadavg()[0]
    return (
        f"Pushlog {VERSION}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores of {name}, "
        f"Python {platform.python_version()}, load {load:.1f}"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # the instance is gone by now
        sys.exit(130)
