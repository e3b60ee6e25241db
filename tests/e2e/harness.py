"""A real instance for tests: its own home, name and ports; driven with the real pushlog, ssh and git."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
OVERLAP = 0.5
T = TypeVar("T")


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(look: Callable[[], T], what: str, timeout: float = 30.0) -> T:
    """What `look` returns once that is true; fails after `timeout` seconds, saying what was waited for."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout:g} s"
        threading.Event().wait(0.02)
    return found


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    text: str


@dataclass
class Instance:
    """One instance. `settings` are PUSHLOG_* variables without the prefix, beside home, name and ports."""

    home: Path
    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    ssh_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)

    @property
    def environment(self) -> dict[str, str]:
        """The environment that commands for this instance run in."""
        given = {
            "HOME": str(self.home),
            "INSTANCE": self.name,
            "SSH_PORT": str(self.ssh_port),
            "HTTP_PORT": str(self.http_port),
            "DRAIN": "1",
            "STOP_TIMEOUT": "5",
            "CHECK_TIMEOUT": "6",
            "CHECK_UPTIME": "1",
            **self.settings,
        }
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PUSHLOG_")}
        ssh = f"ssh {' '.join(self.ssh_options)}"
        return {**clean, **{f"PUSHLOG_{k}": v for k, v in given.items()}, "GIT_SSH_COMMAND": ssh, "LC_ALL": "C.UTF-8"}

    @property
    def address(self) -> str:
        """Where it is reached."""
        return "127.0.0.1"

    @property
    def private_ports(self) -> list[int]:
        """The ports of 127.0.0.1 that are the platform's alone."""
        return []

    @property
    def log_database(self) -> str:
        """The SQLAlchemy URL at which the log can be read, whether the platform runs or not."""
        return f"sqlite:///file:{self.home}/log.sqlite?mode=ro&uri=true"

    @property
    def log_url(self) -> str:
        """The log's database as the platform's own settings name it."""
        return f"sqlite:///{self.home}/log.sqlite"

    @property
    def key(self) -> Path:
        """The private key that `start` made and added."""
        return self.home.parent / f"{self.name}-key"

    @property
    def ssh_options(self) -> list[str]:
        """What every ssh of these tests needs."""
        known = self.home.parent / f"{self.name}-known-hosts"
        return [
            *("-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
            *("-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR"),
        ]

    def pushlog(self, *words: str, check: bool = True, input: str = "") -> subprocess.CompletedProcess[str]:
        """Run the local `pushlog` command."""
        return self._run(self.local_argv(*words), check=check, input=input)

    def ssh(
        self, *words: str, check: bool = True, input: str = "", user: str = "pushlog", key: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command over SSH, with the tester's key or another one."""
        return self._run(self.ssh_argv(*words, user=user, key=key), check=check, input=input)

    def local_argv(self, *words: str) -> list[str]:
        """What `pushlog` runs."""
        return [sys.executable, "-m", "cli.client", *words]

    def ssh_argv(self, *words: str, user: str = "pushlog", key: Path | None = None) -> list[str]:
        """What `ssh` runs."""
        identity = ["-i", str(key)] if key else []
        options = [*identity, *(self.ssh_options[2:] if key else self.ssh_options)]
        return ["ssh", *options, "-p", str(self.ssh_port), f"{user}@{self.address}", *words]

    @contextmanager
    def running(self, argv: Sequence[str], cwd: Path = ROOT) -> "Iterator[Running]":
        """A program that runs beside the test, killed with its children at the end."""
        program = Running(argv, self.environment, cwd)
        try:
            yield program
        finally:
            program.kill()

    def _run(self, argv: list[str], *, check: bool, input: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv, env=self.environment, cwd=ROOT, input=input, capture_output=True, text=True, timeout=150
        )
        assert not check or done.returncode == 0, f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def start(self) -> None:
        """Start it, and let this test's key in."""
        self.up()
        self.let_in()

    def let_in(self) -> None:
        """Add this test's key."""
        if not self.key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.pushlog("ssh-keys:add", "tester", input=self.key.with_suffix(".pub").read_text())

    def up(self) -> None:
        """Start the platform."""
        self.pushlog("up", "--detach")

    def down(self) -> None:
        """Stop the platform; apps and nginx go on."""
        self.pushlog("down")

    def purge(self) -> None:
        """Remove all that is the instance's."""
        self.pushlog("down", "--purge", "--force")

    @property
    def pid(self) -> int:
        """The platform's process."""
        return int((self.home / "run" / "pid").read_text())

    @property
    def pids(self) -> list[int]:
        """The platform's processes."""
        return [self.pid]

    def kill(self) -> None:
        """SIGKILL the platform, and return when it is gone."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{pid}/exe").exists(), "the platform's end")

    def url(self, app: str) -> str:
        """Where `app` is pushed to."""
        return f"ssh://pushlog@{self.address}:{self.ssh_port}/{app}"

    def host(self, app: str) -> str:
        """Where `app` serves; what has a dot is a host already."""
        return app if "." in app else f"{app}.{self.settings.get('DOMAIN', 'localhost')}"

    def get(self, host: str, path: str = "/") -> Answer:
        """GET through nginx. `host` without a dot is an app's name.

        Raises ConnectionError when the connection is closed without an answer, OSError when there is none else.
        """
        connection = http.client.HTTPConnection(self.address, self.http_port, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": self.host(host)})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(errors="replace"))
        except ConnectionError:
            raise
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer: {error!r}") from error
        finally:
            connection.close()

    def events(self, *words: str) -> list[dict[str, Any]]:
        """The log as CloudEvents."""
        return [json.loads(line) for line in self.pushlog("events", *words, "--format", "json").stdout.splitlines()]

    def types(self, app: str) -> list[str]:
        """The types of an app's events, in order."""
        return [event["type"] for event in self.events(app)]

    def head(self) -> int:
        """The position of the last event by which something happened: that something was refused may come later."""
        return next(event["position"] for event in reversed(self.events()) if event["type"] != "command.refused")

    def since(self, position: int, app: str) -> list[str]:
        """The types of an app's events after `position`, in order."""
        return [event["type"] for event in self.events(app) if event["position"] > position]

    def release(self, app: str) -> dict[str, Any]:
        """The newest release of an app, as its event says."""
        return next(event["data"] for event in reversed(self.events(app)) if event["type"] == "release.created")

    def containers_of(self, app: str) -> list[dict[str, Any]]:
        """`docker inspect` of an app's containers, in any state."""
        return self.containers(f"label=pushlog.name={app}")

    def containers(self, *filters: str) -> list[dict[str, Any]]:
        """`docker inspect` of the instance's app containers, in any state."""
        labels = [f"label=pushlog.instance={self.name}", "label=pushlog.made-by", *filters]
        listed = docker("ps", "-aq", "--no-trunc", *(word for label in labels for word in ("--filter", label)))
        if not (ids := listed.split()):
            return []
        # without check: one may go between the list and the look, and then the others are shown
        shown = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=False)
        return list(json.loads(shown.stdout))


Kind = TypeVar("Kind", bound=Instance)

Runs = Callable[[Path, str, Mapping[str, str]], AbstractContextManager[Instance]]
"""Runs an instance of the mode under test for a block: `with running(folder, name, settings) as instance`."""


def passable(folder: Path) -> None:
    """Let nginx's workers pass through a folder of the tests."""
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o711)


@contextmanager
def started(instance: Kind) -> Iterator[Kind]:
    """The instance, running; nothing of it is left."""
    try:
        instance.start()
        yield instance
    finally:
        instance.purge()


def below(folder: Path) -> Iterator[Path]:
    """All that lies below a folder, while others remove some of it."""
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def size(folder: Path) -> int:
    """The bytes of the files below a folder; of those that go meanwhile none."""
    total = 0
    for path in below(folder):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def docker(*words: str) -> str:
    """Run the docker command."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


@dataclass
class Checkout:
    """A person's git checkout, with a remote per instance and app."""

    path: Path
    instance: Instance

    @classmethod
    def of(cls, source: str | Mapping[str, str], path: Path, instance: Instance) -> "Checkout":
        """A fresh repository with the files of `examples/<source>`, or with these texts by name, committed on main."""
        checkout = cls(path, instance)
        if isinstance(source, str):
            shutil.copytree(EXAMPLES / source, path)
        else:
            path.mkdir()
            for name, text in source.items():
                checkout.write(name, text)
        checkout.git("init", "-q", "-b", "main")
        checkout.commit("first")
        return checkout

    @classmethod
    def clone(cls, app: str, path: Path, instance: Instance) -> "Checkout":
        """A clone of what was pushed to `app`; its remote is called origin."""
        cls(path.parent, instance).git("clone", "-q", instance.url(app), str(path))
        return cls(path, instance)

    def git(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run git here."""
        identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
        done = subprocess.run(
            ["git", *identity, *words],
            cwd=self.path,
            env=self.instance.environment,
            capture_output=True,
            text=True,
            timeout=150,
        )
        said = f"{done.stdout}{done.stderr}"
        assert not check or done.returncode == 0, f"git {words} ended with {done.returncode}:\n{said}"
        return done

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file; it must be there."""
        text = (self.path / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def commit(self, message: str = "change") -> str:
        """Commit everything; returns the commit's id."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").stdout.strip()

    def push(self, app: str, refspec: str = "main", *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Push to an app; what the server says is in `stderr`."""
        return self.git("push", self.instance.url(app), refspec, check=check)

    def remote_ref(self, app: str, ref: str = "refs/heads/main") -> str | None:
        """Where a ref of the app stands, or None."""
        lines = self.git("ls-remote", self.instance.url(app), ref).stdout.split()
        return lines[0] if lines else None


class Running:
    """A program beside the test. `lines` are those that it wrote to stdout and stderr so far."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        self._process = subprocess.Popen(
            argv, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as stream:
            self.lines.extend(line.rstrip() for line in stream)

    def wait_for_line(self, text: str) -> str:
        """The first line that holds `text`, once there is one."""
        return wait_for(lambda: next((line for line in self.lines if text in line), ""), f"a line with {text!r}")

    def wait(self) -> int:
        """The exit code, once it has ended."""
        code = self._process.wait(timeout=60)
        self._reader.join()
        return code

    def kill(self) -> None:
        """SIGKILL it and its children, as when a laptop is shut."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()


class Poller:
    """A client that asks for an app every 10 ms over fresh connections, and notes every answer. A context manager."""

    def __init__(self, instance: Instance, host: str, path: str = "/") -> None:
        self._ask = lambda: instance.get(host, path)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.answers: list[Answer] = []
        self._times: list[float] = []
        self.failures: list[str] = []

    def _poll(self) -> None:
        while not self._over.wait(0.01):
            try:
                answer = self._ask()
            except OSError as error:
                self.failures.append(repr(error))
                continue
            self._times.append(time.monotonic())
            self.answers.append(answer)
            if answer.status >= 500:
                self.failures.append(f"{answer.status} {answer.text[:80]}")

    def phases(self) -> list[str]:
        """The texts of the answers in order, each once for as long as it was the answer.

        Two may alternate for OVERLAP seconds: nginx's old workers accept beside the new ones for about 0.1 s.
        """
        phases: list[tuple[str, float]] = []
        for answer, moment in zip(self.answers, self._times, strict=True):
            now = {text for text, _ in phases[-1:]}
            if phases and moment - phases[-1][1] < OVERLAP:
                now |= {text for text, _ in phases[-2:]}
            if answer.text not in now:
                phases.append((answer.text, moment))
        return [text for text, _ in phases]

    def wait_for(self, text: str) -> None:
        """Return once `text` was answered."""
        wait_for(lambda: any(answer.text == text for answer in self.answers), f"an answer {text!r}")

    def __enter__(self) -> "Poller":
        self._thread.start()
        wait_for(lambda: self.answers or self.failures, "a first answer")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
