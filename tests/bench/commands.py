"""A command over a fresh SSH connection, beside what an OpenSSH client takes for nothing.

`python -m tests.bench.commands PORT HOST-KEY AUTHORIZED-KEYS` is a server of AsyncSSH that only says hello.
"""

import asyncio
import getpass
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncssh

from tests.bench.figures import Figure, note
from tests.bench.workbench import Workbench
from tests.e2e.harness import ROOT, Instance, free_port, wait_for

NEEDS = Path("/run/sshd")
"""What sshd needs when root runs it; its package's service makes it."""


def apps_list(bench: Workbench) -> Figure:
    """`ssh … apps:list`, and `ssh` to a server that only says hello."""
    figure = Figure("command", "ssh … apps:list", "s", 0.12, "0.27 s")
    instance = bench.instance
    with _asyncssh(instance, bench.folder) as plain, _openssh(instance, bench.folder) as openssh:
        instance.ssh("apps:list")
        for _ in bench.rounds(figure.title, times=3):
            figure.runs.append(_timed(instance.ssh_argv("apps:list"), instance))
            note(figure.floors, {"ssh to an AsyncSSH that says hello": _timed(plain, instance)})
            if openssh:
                note(figure.beside, {"ssh to OpenSSH's server": _timed(openssh, instance)})
    return figure


def _timed(argv: Sequence[str], instance: Instance) -> float:
    start = time.monotonic()
    subprocess.run(argv, env=instance.environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - start


async def hello(port: int, host_key: str, authorized_keys: str) -> None:
    """Serve for ever."""

    def answer(process: asyncssh.SSHServerProcess[str]) -> None:
        process.stdout.write("hello\n")
        process.exit(0)

    await asyncssh.listen(
        "127.0.0.1", port, server_host_keys=[host_key], authorized_client_keys=authorized_keys, process_factory=answer
    )
    await asyncio.Event().wait()


@contextmanager
def _asyncssh(instance: Instance, folder: Path) -> Iterator[list[str]]:
    """The client's argv to a server of AsyncSSH that lives as long as the block."""
    port = free_port()
    argv = [sys.executable, "-m", "tests.bench.commands", str(port), *_keys(instance, folder)]
    with _running(argv, instance, port) as client:
        yield client


@contextmanager
def _openssh(instance: Instance, folder: Path) -> Iterator[list[str] | None]:
    """The same to OpenSSH's server; None when there is none, or this user cannot run it."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    root = os.geteuid() == 0
    if sshd is None or (root and not NEEDS.exists()):
        yield None
        return
    port = free_port()
    host_key, authorized_keys = _keys(instance, folder)
    options = (
        f"Port={port}", "ListenAddress=127.0.0.1", f"HostKey={host_key}", f"AuthorizedKeysFile={authorized_keys}",
        "StrictModes=no", "PidFile=none", f"UsePAM={'yes' if root else 'no'}",  # without it, a locked root is refused
    )  # fmt: skip
    argv = [sshd, "-D", "-f", os.devnull, *(word for option in options for word in ("-o", option))]
    with _running(argv, instance, port) as client:
        yield client


def _keys(instance: Instance, folder: Path) -> tuple[str, str]:
    """A host key, and the file of who may enter: the instance's own tester."""
    host_key = folder / "host-key"
    if not host_key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host_key)], check=True)
    return str(host_key), str(instance.key.with_suffix(".pub"))


@contextmanager
def _running(argv: Sequence[str], instance: Instance, port: int) -> Iterator[list[str]]:
    server = subprocess.Popen(argv, cwd=ROOT, env=instance.environment, stderr=subprocess.DEVNULL)
    client = ["ssh", *instance.ssh_options, "-p", str(port), f"{getpass.getuser()}@127.0.0.1", "true"]
    try:
        wait_for(lambda: subprocess.run(client, capture_output=True, check=False).returncode == 0, argv[0])
        yield client
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(hello(int(sys.argv[1]), *sys.argv[2:]))
