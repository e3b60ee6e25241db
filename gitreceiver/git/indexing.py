"""Taking the pack of a push into a folder: by C git where it is installed, else by dulwich.

C git's `index-pack --strict` checks every object and link as it comes, in flat memory and within limits of CPU time
and address space. Every way in which a pack is bad becomes BadPack here.
"""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from dulwich.object_store import DiskObjectStore, PackInputTooLarge
from dulwich.objects import S_ISGITLINK, Commit, ObjectID, Tag, Tree

from gitreceiver.git.tree import unsafe
from services import oom
from services.disk import human
from services.errors import PushlogError
from services.terminal import visible

Read = Callable[[int], bytes]
Feed = Callable[[int, IO[bytes]], None]
"""Writes to a process, given its id and its stdin."""
CHUNK = 128 * 1024
ADDRESS_SPACE = 3 << 30
CPU_SECONDS = 5
CPU_BYTES_PER_SECOND = 1 << 20
"""A pack gets CPU_SECONDS of CPU and one more for each of these bytes: what a bomb unpacks to does not count."""
BIG_FILES = ("-c", "core.bigFileThreshold=16m")
"""Larger ones are streamed, not held in memory."""
OLD_MISTAKES = ("badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode")
"""What git itself once wrote, found in the history of many projects and harmless."""
PATH_FAULTS = ("hasDot", "hasDotdot", "hasDotgit", "emptyName", "fullPathname")


class BadPack(PushlogError):
    """The pack of a push is refused; the sentence says why."""


def git_environment(objects: Path, repository: Path) -> dict[str, str]:
    """The whole environment of a git program that reads and writes objects in `objects`."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_DIR": str(repository),
        "GIT_OBJECT_DIRECTORY": str(objects),
    }


def has_git() -> bool:
    """Whether C git is installed."""
    return shutil.which("git") is not None


def run_git(argv: Sequence[str], environment: Mapping[str, str], feed: Feed) -> str:
    """Run git while a thread of its own does `feed`; returns what it wrote to stderr, empty when it succeeded."""
    process = subprocess.Popen(
        ["git", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        cwd="/",
    )
    oom.expose(process.pid)
    resource.prlimit(process.pid, resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    threading.Thread(target=_feed, args=(feed, process.pid, cast(IO[bytes], process.stdin)), daemon=True).start()
    with cast(IO[bytes], process.stderr) as stderr:
        errors = stderr.read().decode("utf-8", "replace")
    while process.poll() is None:  # stderr is closed: it is ending
        time.sleep(0.0005)
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return "fatal: unpacking takes too long"
    return "" if process.returncode == 0 else errors or f"fatal: git ended with {process.returncode}"


def _feed(feed: Feed, pid: int, stdin: IO[bytes]) -> None:
    try:
        with stdin:
            feed(pid, stdin)
    except OSError:
        return  # git ended; its exit code says why


def index_with_git(read: Read, objects: Path, repository: Path, limit: int) -> None:
    """Have C git take the pack that `read` gives into `objects`. Raises BadPack, and OSError when the disk is full."""

    def feed(pid: int, stdin: IO[bytes]) -> None:
        given = 0
        while chunk := read(CHUNK):
            given += len(chunk)
            allow_cpu(pid, given)
            stdin.write(chunk)

    argv = [
        *BIG_FILES,
        "index-pack",
        "--strict=" + ",".join(f"{name}=ignore" for name in OLD_MISTAKES),
        "--fix-thin",
        "--stdin",
        f"--max-input-size={limit}",
    ]
    errors = run_git(argv, git_environment(objects, repository), feed)
    if os.strerror(errno.ENOSPC) in errors:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if errors:
        raise BadPack(explain(errors, limit))


def allow_cpu(pid: int, given: int) -> None:
    """Let a process that was given so many bytes of a pack use CPU time in proportion."""
    seconds = CPU_SECONDS + given // CPU_BYTES_PER_SECOND
    try:
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
    except ProcessLookupError:
        return  # it ended already


def check_connected(objects: Path, repository: Path, new: Sequence[str], known: Sequence[str]) -> None:
    """Raise BadPack unless all that the commits `new` reach, and `known` do not, is there."""
    lines = [*new, *(f"^{commit}" for commit in known)]

    def feed(pid: int, stdin: IO[bytes]) -> None:
        stdin.write("".join(f"{line}\n" for line in lines).encode())

    errors = run_git(["rev-list", "--objects", "--stdin", "--quiet"], git_environment(objects, repository), feed)
    if errors:
        raise BadPack(f"missing objects: {last_words(errors)}")


def pack_with_git(
    wanted: Sequence[ObjectID],
    objects: Path,
    repository: Path,
    write: Callable[[bytes], object],
    revisions: bool = False,
) -> None:
    """Have C git make a pack of the objects `wanted` in the folder `objects`, as they lie there, for `write`.

    With `revisions` of all that these reach. Raises BadPack when it fails, and what `write` raises.
    """
    flags = [
        "--stdout",
        "--quiet",
        "--delta-base-offset",
        "--window=0",
        "--threads=1",
        *(["--revs"] if revisions else []),
    ]
    process = subprocess.Popen(
        ["git", *BIG_FILES, "pack-objects", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=git_environment(objects, repository),
        cwd="/",
    )
    oom.expose(process.pid)
    names = b"".join(sha + b"\n" for sha in wanted)

    def feed(pid: int, stdin: IO[bytes]) -> None:
        stdin.write(names)

    threading.Thread(target=_feed, args=(feed, process.pid, cast(IO[bytes], process.stdin)), daemon=True).start()
    try:
        with cast(IO[bytes], process.stdout) as stdout:
            while chunk := stdout.read(CHUNK):
                write(chunk)
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
    if process.returncode:
        raise BadPack("no pack could be made of the app's repository; try again")


def index_with_dulwich(read_all: Read, read: Read, store: DiskObjectStore, limit: int) -> None:
    """Have dulwich take the pack into `store`, and check its objects and their links. Raises BadPack."""
    try:
        pack = store.add_thin_pack(read_all, read, max_input_size=limit)
        for thing in pack.iterobjects():
            if isinstance(thing, Tree) and any(unsafe(name or b"") for name, _, _ in thing.iteritems()):
                raise BadPack(f"unsafe path in tree {thing.id.decode()}")
            thing.check()
            for sha in links(thing):
                if sha not in store:
                    raise BadPack(f"missing objects: {sha.decode()}, which {thing.id.decode()} names")
    except PackInputTooLarge:
        raise BadPack(f"pack exceeds {human(limit)}") from None
    except (BadPack, OSError):  # an OSError is the disk's, not the pack's
        raise
    except Exception as error:  # whatever dulwich stumbles over in foreign bytes, it is the pack that is bad
        raise BadPack(f"bad pack: {printable(str(error)) or type(error).__name__}") from error


def links(thing: object) -> list[ObjectID]:
    """The objects that an object names, without submodules."""
    match thing:
        case Commit():
            return [thing.tree, *thing.parents]
        case Tag():
            return [thing.object[1]]
        case Tree():
            return [sha for _, mode, sha in thing.iteritems() if sha and mode is not None and not S_ISGITLINK(mode)]
    return []


def explain(errors: str, limit: int) -> str:
    """What git's index-pack wrote, as one sentence."""
    fault = re.search(r"error: object ([0-9a-f]{40}): (\w+): (.*)", errors)
    if fault and fault[2] in PATH_FAULTS:
        return f"unsafe path in tree {fault[1]}"
    if fault:
        return f"bad object {fault[1]}: {fault[2]}: {printable(fault[3])}"
    if "maximum allowed size" in errors:
        return f"pack exceeds {human(limit)}"
    if re.search(r"out of memory|cannot allocate|malloc", errors, re.IGNORECASE):
        return f"bad pack: unpacking takes more than {human(ADDRESS_SPACE)} of memory"
    return f"bad pack: {last_words(errors)}"


def last_words(errors: str) -> str:
    """The last line of what git wrote, without its prefix."""
    lines = [line for line in errors.splitlines() if line.strip()]
    return printable(re.sub(r"^(fatal|error): ", "", lines[-1])) if lines else "git gave no reason"


def printable(text: str) -> str:
    """`text` on one line, control characters escaped, cut at 200."""
    return visible(text[:200])
