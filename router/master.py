"""The running nginx of one home: found in /proc, started, signalled. It outlives Pushlog, which then adopts it."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from router import front
from router.limits import WORKERS
from router.render import RouteRefused
from services import oom
from services.errors import PushlogError, Unavailable

POLL = 0.003
DEADLINE = 10.0
LOG_LIMIT = 16 * 1024 * 1024
MASTER = "nginx: master process .*"
WORKER = "nginx: worker process"
ANY = "nginx: .*"
# A reload goes on when the socket of the old tree is gone already.
EMERGENCY = re.compile(r"\[emerg\] (?!\d+#\d+: unlink\(\))(?:\d+#\d+: )?(.*)")
# nginx writes its title over its arguments and environment: with an empty environment the title would be cut.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Master:
    """The nginx master whose working directory is `folder`, and its workers. `program` is what to run.

    Configurations are named by their paths relative to `folder`.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.log = folder / "logs/error.log"

    def pid(self) -> int | None:
        """The master's process id, None when it does not run. A pid file that names another process is not believed."""
        with suppress(FileNotFoundError, ValueError):
            pid = int((self.folder / "nginx.pid").read_text())
            if self._is_ours(pid, MASTER):
                return pid
        return next(self._ours(MASTER), None)

    def is_there(self) -> bool:
        """Whether a master or any worker runs."""
        return any(self._ours(ANY))

    def test(self, config: str) -> None:
        """Raise RouteRefused, with nginx's reason, unless nginx takes the configuration."""
        result = self._run("-t", "-c", config)
        if result.returncode:
            raise RouteRefused(f"nginx refused the configuration: {_reason(result.stderr)}")

    def start(self, config: str) -> None:
        """Start a master and return when all its workers accept; Unavailable when it does not start.

        Workers that a killed master left behind still hold the port: they finish what they do and accept no more.
        """
        for orphan in self._ours(WORKER):
            _send(orphan, signal.SIGQUIT)
        wait(lambda: not any(self._ours(WORKER)), Unavailable("the workers of a killed nginx still accept"))
        front.clear(self.folder)
        result = self._run("-c", config)
        if result.returncode:
            raise Unavailable(f"nginx did not start: {_reason(result.stderr)}")
        self._settled()

    def reload(self) -> None:
        """Have the master read its configuration again; return when only workers of the new one accept.

        Raises RouteRefused, with nginx's reason, when it keeps the old one. Old workers finish their requests.
        """
        master, before = self._settled()
        logged = self._log_size()
        front.clear(self.folder)
        _send(master, signal.SIGHUP)

        def switched() -> bool:
            if refusal := self._emergency(since=logged):
                raise RouteRefused(f"nginx refused the configuration: {refusal}")
            accepting = _accepting(master)
            if len(accepting - before) < WORKERS:
                return False
            for old in accepting & before:  # the master itself tells them 100 ms after it started the new ones
                _send(old, signal.SIGQUIT)
            return accepting.isdisjoint(before)

        wait(switched, RouteRefused(f"nginx did not take the new configuration within {DEADLINE:g} s"))

    def stop(self, grace: float) -> None:
        """Let requests finish for `grace` seconds, then end them; return when no process of this nginx is left."""
        for number, seconds in ((signal.SIGQUIT, grace), (signal.SIGTERM, DEADLINE)):
            master = self.pid()
            for pid in [master] if master else list(self._ours(ANY)):
                _send(pid, number)
            with suppress(Unavailable):
                return wait(lambda: not any(self._ours(ANY)), Unavailable(""), seconds)
        raise Unavailable(f"nginx did not stop within {grace + DEADLINE:g} s")

    def protect(self) -> None:
        """Have the kernel spare the master and its workers when memory is short, be they an older version's."""
        if master := self.pid():
            for pid in (master, *_accepting(master)):
                oom.protect(pid)

    def trim_log(self) -> None:
        """Keep the error log and one older part of it below about LOG_LIMIT bytes each."""
        master = self.pid()
        if master and self._log_size() > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
            _send(master, signal.SIGUSR1)

    def _settled(self) -> tuple[int, set[int]]:
        """The master and its workers, once it has as many as it should."""
        wait(lambda: len(_accepting(self.pid())) == WORKERS, Unavailable("nginx does not keep its workers running"))
        master = self.pid()
        if master is None:
            raise Unavailable("nginx stopped")
        return master, _accepting(master)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [self.program, "-p", ".", *arguments]
        try:
            return subprocess.run(
                argv, cwd=self.folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=30, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise Unavailable(f"{self.program} is not there; install nginx or set PUSHLOG_NGINX") from None
        except subprocess.TimeoutExpired:
            raise Unavailable("nginx did not end within 30 s") from None

    def _ours(self, title: str) -> Iterator[int]:
        return (pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_ours(pid, title))

    def _is_ours(self, pid: int, title: str) -> bool:
        if not re.fullmatch(title, _title(pid)):
            return False
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            return os.readlink(f"/proc/{pid}/cwd") == str(self.folder.resolve())
        return False

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _emergency(self, since: int) -> str:
        """The first reason in the error log, from the offset `since` on, why nginx gave something up; or nothing."""
        if self._log_size() <= since:
            return ""
        with self.log.open("rb") as log:
            log.seek(since)
            added = log.read().decode(errors="replace")
        return _reason(added) if EMERGENCY.search(added) else ""


def wait(done: Callable[[], bool], otherwise: PushlogError, seconds: float = DEADLINE) -> None:
    """Return as soon as `done()`; raise `otherwise` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise otherwise
        time.sleep(POLL)


def _accepting(master: int | None) -> set[int]:
    """The workers that take connections: one that is told to quit changes its title before it would take another."""
    try:
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return set()
    return {int(pid) for pid in children if _title(int(pid)) == WORKER}


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _reason(output: str) -> str:
    """nginx's own first reason, with paths as the operator knows them: below the folder, without the tree's name."""
    found = EMERGENCY.search(output)
    line = found[1] if found else (output.strip().splitlines() or ["it gave no reason"])[0]
    return re.sub(r"\./(?:trees/[^/ ]+/|current/)?(?:\.\./\.\./)?", "", line)
