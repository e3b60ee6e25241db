"""Programs that work for a git client beside the one thread that all share: C git, or modules of ours.

Each has limits of CPU time and memory, gives way to the platform itself, and ends with what it was started for.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

from services import oom

ADDRESS_SPACE = 3 << 30
CPU_SECONDS = 60
NICER = 5
CHUNK = 128 * 1024
WORDS = 64 * 1024
"""Bytes of what a program says of its failure."""
SLOW = "fatal: it takes too long"

Feed = Callable[[int, int], None]
"""Writes to a process, given its id and the descriptor of its stdin."""


def has_git() -> bool:
    """Whether C git is installed."""
    return shutil.which("git") is not None


def environment(repository: Path, objects: Path | None = None) -> dict[str, str]:
    """The whole environment of a program that reads `repository`, and its objects in a folder of their own."""
    found = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "LC_ALL": "C",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_DIR": str(repository),
    }
    return found | ({"GIT_OBJECT_DIRECTORY": str(objects)} if objects else {})


def ours(module: str, *words: str) -> list[str]:
    """The command line of a module of ours."""
    return [sys.executable, "-W", "ignore", "-m", module, *words]


class Program:
    """A running program; a context manager that kills it at the end, if it runs still.

    Its stdin is what `feed` writes, in a thread of its own. It inherits the descriptors `held`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        feed: Feed,
        cpu: int = CPU_SECONDS,
        out: int | BinaryIO = subprocess.PIPE,
        held: Sequence[int] = (),
    ) -> None:
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE, env=env, cwd="/", bufsize=0, pass_fds=held
        )
        self._said: list[bytes] = []
        oom.expose(self.pid)
        with suppress(ProcessLookupError):  # it ended already
            resource.prlimit(self.pid, resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
            limit_cpu(self.pid, cpu)
            os.setpriority(os.PRIO_PROCESS, self.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICER)
        self._feeder = threading.Thread(target=self._feed, args=(feed,), daemon=True)
        self._feeder.start()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, once it ended."""
        return self._process.returncode

    def read(self) -> bytes:
        """What it wrote to stdout next; nothing at the end."""
        return os.read(cast(IO[bytes], self._process.stdout).fileno(), CHUNK)

    def end(self) -> str:
        """What it wrote to stderr, once it ended; empty when it succeeded."""
        self._listener.join()
        while self._process.poll() is None:  # its stderr is closed: it is ending
            time.sleep(0.0005)
        code, said = self._process.returncode, b"".join(self._said).decode("utf-8", "replace")
        if code in (-signal.SIGXCPU, -signal.SIGKILL, 128 + signal.SIGXCPU):
            return SLOW
        return "" if code == 0 else said or f"fatal: it ended with {code}"

    def fed(self) -> None:
        """Wait until `feed` has ended, which may read on when the program has."""
        self._feeder.join()

    def kill(self) -> None:
        """End it now."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def _feed(self, feed: Feed) -> None:
        stdin = cast(IO[bytes], self._process.stdin)
        try:
            with stdin:
                feed(self.pid, stdin.fileno())
        except (OSError, ValueError):
            return  # it ended; its exit code says why

    def _listen(self) -> None:
        with cast(IO[bytes], self._process.stderr) as stderr:
            room = WORDS
            while data := os.read(stderr.fileno(), 4096):
                self._said += [data[:room]]
                room -= len(self._said[-1])

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def run(
    argv: Sequence[str],
    env: Mapping[str, str],
    feed: Feed,
    cpu: int = CPU_SECONDS,
    held: Sequence[int] = (),
    whole: bool = False,
) -> tuple[bytes, str]:
    """Run a program to its end, and with `whole` its `feed`.

    Returns what it wrote to stdout, and to stderr if it failed.
    """
    with Program(argv, env, feed, cpu, held=held) as program:
        out = []
        while data := program.read():
            out.append(data)
        errors = program.end()
        if whole:
            program.fed()
        return b"".join(out), errors


def giving(data: bytes) -> Feed:
    """A feed of these bytes."""
    return lambda _, stdin: write(stdin, data)


def write(descriptor: int, data: bytes) -> None:
    """Write all of it. Raises BrokenPipeError when nobody reads."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest[:CHUNK]) :]


def limit_cpu(pid: int, seconds: int) -> None:
    """Let a process use so many seconds of CPU time in all."""
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
