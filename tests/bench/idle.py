"""What an instance costs that has nothing to do: memory and CPU of the platform and of its nginx."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, note
from tests.bench.workbench import Workbench, say
from tests.e2e.apps import ECHO
from tests.e2e.harness import Instance

WINDOW = 10.0
WINDOWS = 3
QUIET = 2.0


def idle(bench: Workbench) -> list[Figure]:
    """Proportional memory (PSS) and CPU of one core, over WINDOWS of WINDOW seconds, with what was pushed."""
    bench.app("echo", ECHO)
    apps = len(bench.checkouts)
    memory = Figure("memory", f"memory at idle, apps: {apps}", "MB", 150)
    cpu = Figure("cpu", f"CPU at idle, apps: {apps}", "%", 1)
    time.sleep(QUIET)
    for number in range(1, WINDOWS + 1):
        say(f"idle: {number} of {WINDOWS}")
        before, start = cpu_seconds(bench.instance), time.monotonic()
        time.sleep(WINDOW)
        passed = time.monotonic() - start
        used = {name: 100 * (now - before[name]) / passed for name, now in cpu_seconds(bench.instance).items()}
        held = {name: sum(map(pss, pids)) for name, pids in processes(bench.instance).items()}
        for figure, parts in ((cpu, used), (memory, held)):
            figure.runs.append(sum(parts.values()))
            note(figure.parts, parts)
    return [memory, cpu]


def processes(instance: Instance) -> dict[str, list[int]]:
    """The processes of the platform and of its nginx."""
    nginx = int((instance.home / "nginx" / "nginx.pid").read_text())
    return {"platform": list(family(instance.pid)), "nginx": list(family(nginx))}


def family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from family(int(child))


def pss(pid: int) -> float:
    """A process's memory in MB, with its part of what it shares."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) * 1024 / 1e6


def cpu_seconds(instance: Instance) -> dict[str, float]:
    """The CPU time that each part has used so far."""
    return {name: sum(map(_used, pids)) for name, pids in processes(instance).items()}


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
