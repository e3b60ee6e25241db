"""Taking the pack of a push into a folder, in a process: C git where it is installed, else dulwich.

C git's `index-pack --strict` checks every object and link as it comes, in flat memory and within limits of CPU time
and address space. Every way in which a pack is bad becomes BadPack here.
"""

import errno
import os
import re
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from dulwich.objects import ObjectID

from gitreceiver.git import program
from gitreceiver.git.program import CHUNK
from services import oom
from services.disk import human
from services.errors import PushlogError
from services.terminal import visible

Read = Callable[[int], bytes]
CPU_SECONDS = 5
SLOWER = 10
"""How much longer dulwich may take."""
CPU_BYTES_PER_SECOND = 1 << 20
"""A pack gets CPU_SECONDS of CPU and one more for each of these bytes: what a bomb unpacks to does not count."""
BIG_FILES = ("-c", "core.bigFileThreshold=16m")
"""Larger ones are streamed, not held in memory."""
OLD_MISTAKES = ("badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode")
"""What git itself once wrote, found in the history of many projects and harmless."""
PATH_FAULTS = ("hasDot", "hasDotdot", "hasDotgit", "emptyName", "fullPathname")


class BadPack(PushlogError):
    """The pack of a push is refused; the sentence says why."""


def index(read: Read, objects: Path, repository: Path, limit: int, with_git: bool, whole: bool = False) -> None:
    """Take the pack that `read` gives into the folder `objects`. Raises BadPack, and OSError when the disk is full.

    A thread may go on reading for what is behind the pack; with `whole` it has ended on return.
    """

    seconds = CPU_SECONDS if with_git else CPU_SECONDS * SLOWER

    def feed(pid: int, stdin: int) -> None:
        given = 0
        while chunk := read(CHUNK):
            given += len(chunk)
            program.limit_cpu(pid, seconds + given // CPU_BYTES_PER_SECOND)
            program.write(stdin, chunk)

    strict = "--strict=" + ",".join(f"{name}=ignore" for name in OLD_MISTAKES)
    with_c = ["git", *BIG_FILES, "index-pack", strict, "--fix-thin", "--stdin", f"--max-input-size={limit}"]
    without = program.ours("gitreceiver.git.without_git", "index-pack", str(limit))
    argv = with_c if with_git else without
    _, errors = program.run(argv, program.environment(repository, objects), feed, seconds, whole=whole)
    if os.strerror(errno.ENOSPC) in errors:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if errors == program.SLOW:
        raise BadPack("bad pack: unpacking takes too long")
    if errors:
        raise BadPack(explain(errors, limit) if with_git else last_words(errors))


def check_connected(objects: Path, repository: Path, new: Sequence[str], known: Sequence[str]) -> None:
    """Raise BadPack unless all that the commits `new` reach, and `known` do not, is there."""
    lines = "".join(f"{line}\n" for line in [*new, *(f"^{commit}" for commit in known)])
    argv = ["git", "rev-list", "--objects", "--stdin", "--quiet"]
    _, errors = program.run(argv, program.environment(repository, objects), program.giving(lines.encode()))
    if errors:
        raise BadPack(f"missing objects: {last_words(errors)}")


def is_ancestor(objects: Path, repository: Path, old: str, new: str, with_git: bool) -> bool:
    """Whether the commit `old` is `new`, or in its history; what takes too long to be found is not."""
    with_c = ["git", "merge-base", "--is-ancestor", old, new]
    argv = with_c if with_git else program.ours("gitreceiver.git.without_git", "is-ancestor", old, new)
    return not program.run(argv, program.environment(repository, objects), program.giving(b""))[1]


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
        env=program.environment(repository, objects),
        cwd="/",
    )
    oom.expose(process.pid)
    names = b"".join(sha + b"\n" for sha in wanted)
    threading.Thread(target=_give, args=(cast(IO[bytes], process.stdin), names), daemon=True).start()
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


def _give(stdin: IO[bytes], names: bytes) -> None:
    with suppress(OSError), stdin:  # it ended; its exit code says why
        stdin.write(names)


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
        return f"bad pack: unpacking takes more than {human(program.ADDRESS_SPACE)} of memory"
    return f"bad pack: {last_words(errors)}"


def last_words(errors: str) -> str:
    """What git wrote last, on one line and without its prefix; it may hold line ends that a client sent."""
    *_, last = re.split(r"^(?:fatal|error): ", errors.strip(), flags=re.MULTILINE)
    return printable(" ".join(last.split())) or "git gave no reason"


def printable(text: str) -> str:
    """`text` on one line, control characters escaped, cut at 200."""
    return visible(text[:200])
