"""The stack of docker-compose.yml for tests: a name, ports and images of its own, beside whatever else runs."""

import json
import shutil
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.runner import SERVICES
from tests.e2e.harness import ROOT, Instance, docker, free_port, wait_for

USERS = {**dict.fromkeys(SERVICES, "pushlog"), "rabbitmq": "rabbitmq", "postgres": "postgres"}
"""Each lasting service of the stack, and the user that its processes run as."""
IMAGES = ("broker", "database", "platform")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def program() -> list[str]:
    """Compose v2 where it is installed, else v1."""
    v2 = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if v2.returncode == 0 else ["docker-compose"]


@dataclass
class Stack(Instance):
    """`home` is a folder with what the images are built from, and not a home on this machine."""

    broker_port: int = field(default_factory=free_port)
    argv: list[str] = field(default_factory=program)

    @property
    def environment(self) -> dict[str, str]:
        """See Instance."""
        own = {"COMPOSE_PROJECT_NAME": self.name, "BROKER_PORT": str(self.broker_port), "PUSHLOG_LEASE": "5"}
        return {**super().environment, **own}

    def compose(self, *words: str, stdin: str = "") -> str:
        """Run Compose on the stack; returns what it printed."""
        argv = [*self.argv, "--file", str(self.home / "docker-compose.yml"), *words]
        done = subprocess.run(
            argv, env=self.environment, input=stdin, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{argv} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}"
        return done.stdout

    def local_argv(self, *words: str) -> list[str]:
        """See Instance: the command inside the door's container."""
        file = str(self.home / "docker-compose.yml")
        return [*self.argv, "--file", file, "exec", "-T", "gitreceiver", "pushlog", *words]

    def build(self) -> None:
        """Build the images from this checkout, trusting what the machine trusts."""
        self.home.mkdir()
        allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        for name in ("Dockerfile", "docker-compose.yml", ".dockerignore", *allowed):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.home / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, self.home / name)
        if BUNDLE.exists():
            shutil.copy(BUNDLE, self.home / "ca-certificates.crt")
        self.compose("build")

    def up(self) -> None:
        """See Instance."""
        self.compose("up", "-d")
        self.wait_until_well()

    def down(self) -> None:
        """See Instance: the containers go, the volumes stay."""
        self.compose("down")

    def remove(self) -> None:
        """Remove everything but the images of the stack itself."""
        self.compose("stop")
        try:
            self.compose("run", "--rm", "--no-deps", "deployer", "pushlog", "down", "--purge", "--force")
        finally:
            self.compose("down", "--volumes")

    def purge(self) -> None:
        """See Instance. The images' layers stay in Docker's cache, so that the next run need not download them."""
        if docker("volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={self.name}"):
            self.remove()
        for image in IMAGES:
            kept, made = f"pushlog/cache:{image}", f"{self.name}/{image}"
            before, now = (docker("images", "-q", "--no-trunc", name).strip() for name in (kept, made))
            if now:
                docker("tag", made, kept)
                docker("rmi", made)
            if now and before not in ("", now):
                with suppress(subprocess.CalledProcessError):  # another run may use it
                    docker("rmi", before)

    def of(self, service: str) -> list[dict[str, Any]]:
        """`docker inspect` of a service's containers, in any state."""
        labels = (f"com.docker.compose.project={self.name}", f"com.docker.compose.service={service}")
        words = [word for label in labels for word in ("--filter", f"label={label}")]
        ids = docker("ps", "-aq", "--no-trunc", *words).split()
        return list(json.loads(docker("inspect", *ids))) if ids else []

    def run(self, service: str, *argv: str, user: str = "") -> str:
        """Run a program in a service's first container as the user of its processes, or another."""
        return docker("exec", "--user", user or USERS[service], self.of(service)[0]["Id"], *argv)

    def wait_until_well(self) -> None:
        """Return when the health check of every container passes, and the door is open: one that stands by is well."""

        def unwell() -> list[str]:
            return [
                service
                for service in USERS
                if {each["State"].get("Health", {}).get("Status") for each in self.of(service)} != {"healthy"}
            ]

        try:
            wait_for(lambda: not unwell(), "a well stack", 300)
        except AssertionError:
            said = self.compose("logs", "--no-color", "--tail", "30", *unwell())
            raise AssertionError(f"not well: {unwell()}\n{said}") from None
        wait_for(self._greets, "the SSH door", 60)

    def _greets(self) -> bool:
        """Whether SSH answers; Docker's proxy takes connections before, and drops them."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.ssh_port), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
        return False

    def kill(self) -> None:
        """See Instance: every container's processes at once."""
        for service in USERS:
            self.kill_service(service)

    def kill_service(self, service: str) -> None:
        """SIGKILL all processes of a service's container, from within: `docker kill` would count as a stop by hand."""
        with suppress(subprocess.CalledProcessError):  # the shell goes with its container
            self.run(service, "sh", "-c", "kill -9 -1")
