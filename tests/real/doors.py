"""A running gitreceiver of a test's own, and the real ssh and git clients that speak to it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dulwich.protocol import Protocol

from tests.real.web import free_port

HARNESS = Path(__file__).with_name("door_harness.py")
ROOT = Path(__file__).parents[2]


def wait_until(happened: Callable[[], object], seconds: float = 20) -> None:
    """Poll until `happened()` is true; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class Doors:
    """The harness as a process. `home` is short, because a Unix socket's path must be."""

    def __init__(self, limits: str = "{}", path: str | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="pushlog-door-"))
        self.keys = self.home / "client"
        self.keys.mkdir()
        self.port = free_port()
        self.limits = limits
        self.path = path or os.environ["PATH"]
        self.shared: list[str] = []
        self.shared: list[str] = []
        self.key = self.new_key("laptop")
        self.start()

    def start(self) -> None:
        """Start the process and wait until it listens."""
        self.output = (self.home / "output").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", HARNESS, self.home, str(self.port), self.limits],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": self.path},
            stdout=subprocess.PIPE,
            stderr=self.output,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n", self.log()

    def stop(self, kill: bool = False) -> None:
        """End the process, by SIGKILL if `kill`."""
        self.process.kill() if kill else self.process.terminate()
        self.process.wait(20)
        assert self.process.stdout
        self.process.stdout.close()
        self.output.close()

    def close(self) -> None:
        """Stop and remove everything."""
        self.stop(kill=True)
        shutil.rmtree(self.home)

    def log(self) -> str:
        """What the process logged."""
        return (self.home / "output").read_text()

    def new_key(self, name: str, *, authorized: bool = True, kind: Sequence[str] = ("-t", "ed25519")) -> Path:
        """A new key pair; returns the private half's path."""
        path = self.keys / name
        subprocess.run(["ssh-keygen", "-q", *kind, "-N", "", "-C", name, "-f", path], check=True)
        if authorized:
            with (self.home / "authorized").open("a") as file:
                file.write(f"{name} {' '.join(path.with_suffix('.pub').read_text().split()[:2])}\n")
        return path

    def ssh_options(self, *keys: Path) -> list[str]:
        """Options for ssh that let no setting of this machine in."""
        identities = [word for key in keys or (self.key,) for word in ("-i", str(key))]
        known = f"UserKnownHostsFile={self.keys / 'known_hosts'}"
        return [
            *self.shared,
            *("-F", "none", "-p", str(self.port), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=accept-new"),
            *("-o", known, "-o", "LogLevel=ERROR", "-o", "IdentityAgent=none", *identities),
        ]

    @contextmanager
    def shared_connection(self) -> Iterator[None]:
        """Have all sessions go over one connection for the length of a `with`, which takes a tenth of the time."""
        self.shared = ["-o", f"ControlPath={self.home / 'shared'}"]
        argv = self.ssh_argv("whoami", options=["-o", "ControlMaster=yes", "-o", "ControlPersist=yes"])
        quiet = subprocess.DEVNULL
        subprocess.run(argv, stdin=quiet, stdout=quiet, stderr=quiet, check=True)
        try:
            yield
        finally:
            subprocess.run(self.ssh_argv(options=["-O", "exit"]), stdin=quiet, stdout=quiet, stderr=quiet, check=True)
            self.shared = []

    def ssh_argv(self, *command: str, options: Sequence[str] = (), keys: Sequence[Path] = ()) -> list[str]:
        """The command line of ssh."""
        return ["ssh", *self.ssh_options(*keys), *options, "-l", "pushlog", "127.0.0.1", *command]

    def ssh(
        self, *command: str, options: Sequence[str] = (), keys: Sequence[Path] = (), input: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ssh to its end."""
        argv = self.ssh_argv(*command, options=options, keys=keys)
        return subprocess.run(argv, input=input, capture_output=True, timeout=60)

    def git(self, folder: Path, *argv: str, keys: Sequence[Path] = ()) -> subprocess.CompletedProcess[str]:
        """Run git in `folder`, reaching the door over ssh."""
        ssh = " ".join(["ssh", *self.ssh_options(*keys)])
        who = {f"GIT_{role}_{field}": "a@b" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
        env = {"PATH": os.environ["PATH"], "HOME": str(self.keys), "GIT_SSH_COMMAND": ssh, "LC_ALL": "C", **who}
        env["GIT_CONFIG_NOSYSTEM"] = "1"
        return subprocess.run(["git", *argv], cwd=folder, env=env, capture_output=True, text=True, timeout=120)

    def url(self, app: str) -> str:
        """What git clients call the app."""
        return f"pushlog@127.0.0.1:{app}"

    def decide(self, mode: str) -> None:
        """What becomes of pushes from here on: see door_harness.decide."""
        (self.home / "decide").write_text(mode)

    def raw_push(self, app: str, commands: Sequence[tuple[str, str, bytes]], pack: bytes) -> "RawPush":
        """Push with a client that follows no rule: commands of (old, new, ref) and any bytes as the pack."""
        return RawPush(self.ssh_argv("git-receive-pack", app), commands, pack)


class RawPush:
    """A push whose every byte the test chose. `report` holds the lines of the status report, `said` the progress."""

    def __init__(self, argv: Sequence[str], commands: Sequence[tuple[str, str, bytes]], pack: bytes) -> None:
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            self.report: list[bytes] = []
            self.said: list[bytes] = []
            protocol = Protocol(process.stdout.read, process.stdin.write)
            self.advertised = list(protocol.read_pkt_seq())
            capabilities = b"\0 report-status side-band-64k"
            for old, new, ref in commands:
                protocol.write_pkt_line(f"{old} {new} ".encode() + ref + capabilities)
                capabilities = b""
            protocol.write_pkt_line(None)
            try:
                process.stdin.write(pack)
                process.stdin.close()
            except BrokenPipeError:
                self.said.append(b"the door stopped reading")
            report = b""
            while head := process.stdout.read(4):
                if head != b"0000":
                    packet = process.stdout.read(int(head, 16) - 4)
                    report += packet[1:] if packet[0] == 1 else b""
                    self.said += [packet[1:]] if packet[0] == 2 else []
            while report and (length := int(report[:4], 16)):
                self.report.append(report[4:length].rstrip(b"\n"))
                report = report[length:]
            self.stderr = process.stderr.read().decode()
            self.code = process.wait(60)
