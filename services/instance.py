"""One instance on one home: its lock, its processes, and its end."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.errors import Refused, Unavailable
from services.ownfile import KEPT
from services.settings import Settings

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0
COMMAND = b"-"
"""What stands in `run/pid` before the number of a process that is not the platform's."""


def socket_path(home: Path) -> Path:
    """The Unix socket that the local `pushlog` command speaks to."""
    return home / "run" / "pushlog.sock"


def health_path(home: Path) -> Path:
    """The Unix socket at which the one process of an instance answers /healthz."""
    return home / "run" / "health.sock"


def prepare_home(settings: Settings) -> None:
    """Make the home and its `run` folder. What this process makes from now on is for its user alone.

    Raises Unavailable when that cannot be.
    """
    os.umask(0o077)
    with usable(settings.home):
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (settings.home / "run").mkdir(mode=0o700, exist_ok=True)


@contextmanager
def usable(home: Path) -> Iterator[None]:
    """Have a home that this user cannot use be a sentence: Unavailable instead of OSError."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"PUSHLOG_HOME: {home} cannot be used ({error.strerror}); allowed is a folder of one's own"
        ) from None


def _opened(settings: Settings) -> int:
    """The file that is locked."""
    prepare_home(settings)
    with usable(settings.home):
        return os.open(settings.home / "run" / "pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def locked(settings: Settings, *, serving: bool = False) -> Iterator[None]:
    """Hold the home: at most one process of the instance does. Raises Refused while another does.

    The lock ends with the process, however it ends. One that is not `serving` works on the home for a command, and is
    not the one to be stopped when the instance is.
    """
    descriptor = _opened(settings)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 1)
        os.close(descriptor)
        if not holder:
            raise Refused(f"services of the instance at {settings.home} are running; stop them first") from None
        raise _held(settings.home, holder) from None
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, (b"" if serving else COMMAND) + str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)  # the number may stay: it counts only while the lock is held


@contextmanager
def joined(settings: Settings) -> Iterator[None]:
    """Share the home with the other services' processes. Raises Refused while one process runs them all there."""
    descriptor = _opened(settings)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        yield
    except BlockingIOError:
        raise _held(settings.home, os.read(descriptor, 1)) from None
    finally:
        os.close(descriptor)


def _held(home: Path, holder: bytes) -> Refused:
    if holder == COMMAND:
        return Refused(f"another command works on the instance at {home}; wait for its end")
    return Refused(f"the instance at {home} is running; stop it with: pushlog down")


@contextmanager
def ready(settings: Settings) -> Iterator[None]:
    """Let `up --detach` know, while the block runs, that this process answers."""
    file = settings.home / "run" / "ready"
    file.write_text(str(os.getpid()))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def running_pid(home: Path) -> int | None:
    """The platform's process, which holds the home, or None. Raises Unavailable when this user may not look."""
    with usable(home), contextlib.suppress(FileNotFoundError), (home / "run" / "pid").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return max(0, int(file.read() or 0)) or None  # below 0 it holds it for a command
    return None


def log_file(home: Path) -> Path:
    """Where a detached instance writes to; see ownlog.OwnFile."""
    return home / "pushlog.log"


def program(module: str, *arguments: str) -> list[str]:
    """The command line of a process of the platform. It imports nothing from the folder that it is started in."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The environment of such a process: it runs the code that this one runs."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def detach(settings: Settings, say: Callable[[str], None]) -> None:
    """Start the instance in the background and return when it answers. Raises Unavailable with its last words."""
    if running_pid(settings.home):
        say(f"-----> Pushlog is running already at {settings.home}")
        return
    prepare_home(settings)
    log = log_file(settings.home)
    say(f"-----> Starting Pushlog at {settings.home}")
    with log.open("ab") as file:
        start = file.tell()
        process = subprocess.Popen(
            program("services.process"),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT
    answers = settings.home / "run" / "ready"
    while process.poll() is None and time.monotonic() < deadline:
        if answers.exists() and answers.read_text() == str(process.pid):
            say(f"       ssh on port {settings.ssh_port}, http on port {settings.http_port}, log in {log}")
            return
        time.sleep(0.05)
    with log.open("rb") as file:
        file.seek(start)
        words = file.read().decode(errors="replace").rstrip().splitlines()
    process.kill()
    last = [word.removeprefix(" !     ") for word in words[-10:]]
    raise Unavailable("\n".join(["Pushlog did not start; its last words:", *last]))


def stop(settings: Settings, say: Callable[[str], None]) -> None:
    """Stop the instance's process; apps and nginx go on serving. Raises Unavailable when it does not end."""
    pid = running_pid(settings.home)
    if pid is None:
        say(f"-----> Pushlog is not running at {settings.home}")
        return
    say("-----> Stopping Pushlog; apps keep serving")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while running_pid(settings.home) == pid:
        if time.monotonic() > deadline:
            raise Unavailable(f"process {pid} did not end within {STOP_TIMEOUT:.0f} s")
        time.sleep(0.05)


MADE = ("blobs", "logs", "nginx", "output", "repositories", "run", "snapshots", "ssh")
MADE_FILES = (
    "log.sqlite",
    "log.sqlite-wal",
    "log.sqlite-shm",
    "master.key",
    "master.key.new",
    "pushlog.log",
    "pushlog.log.new",
    *(f"pushlog.log.{n}" for n in range(1, KEPT + 1)),
)


def remove_home(settings: Settings) -> None:
    """Remove what Pushlog made in the home, and the home if nothing else is in it."""
    for name in (*MADE, *MADE_FILES):
        path = settings.home / name
        if path.is_mount():
            continue  # a volume: it goes with what mounts it
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else is in it: the operator's
        settings.home.rmdir()
