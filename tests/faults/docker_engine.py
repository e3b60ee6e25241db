"""A Docker Engine of the tests' own, apart from the machine's, which is never touched: to be stopped and killed.

It makes no firewall rules, because the chains that dockerd flushes at its start are the machine's daemon's as well.
Containers and the host reach each other all the same; the world is out of the containers' reach.
"""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.harness import wait_for

STACK = "pushlog/stack:bookworm"
APART = ("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--userland-proxy=false")


@dataclass
class DockerEngine:
    """`folder` is its own: all that it keeps, its sockets and its log. `start` it; `remove` leaves nothing."""

    folder: Path
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def host(self) -> str:
        """Where it listens, as DOCKER_HOST."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def subnets(self) -> tuple[str, str]:
        """Networks that neither the machine's Docker nor a Pushlog takes by itself: the apps', and the default one."""
        block = os.getpid() % 128
        return f"10.{128 + block // 4}.{block % 4 * 64}.0/20", f"10.{128 + block // 4}.{block % 4 * 64 + 16}.0/20"

    @property
    def bridge(self) -> str:
        """Its default network's bridge, made beforehand: without one, or with pools of addresses of its own, dockerd
        deletes docker0, which is the machine's.
        """
        return f"pushlog{os.getpid()}"

    def _make_bridge(self) -> None:
        if not Path("/sys/class/net", self.bridge).exists():
            address = self.subnets[1].replace(".0/20", ".1/20")
            for words in (("link", "add", self.bridge, "type", "bridge"), ("addr", "add", address, "dev", self.bridge)):
                subprocess.run(["ip", *words], check=True)

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._make_bridge()
        kept = ("--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/run", "-p", f"{self.folder}/pid")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["dockerd", "-H", self.host, *kept, *APART, f"--bridge={self.bridge}"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, "the tests' Docker Engine", 60)

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        return subprocess.run(["docker", "version"], env=self._environment, capture_output=True).returncode == 0

    def stop(self) -> None:
        """Stop it as an operator does; its containers stop with it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL it and its containerd; its containers go on until it starts again."""
        noted = self.folder / "run/containerd/containerd.pid"
        containerd = int(noted.read_text())
        self._end(signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(containerd, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{containerd}/exe").exists(), "containerd's end")
        noted.unlink()  # dockerd would wait for one that ended and whose parent has not noticed

    def pause(self) -> None:
        """SIGSTOP it: it takes connections and says nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT it."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        self._signal(number)
        assert self._process
        self._process.wait(60)

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.host}

    def docker(self, *words: str) -> str:
        """Run the docker command on it."""
        done = subprocess.run(["docker", *words], env=self._environment, check=True, capture_output=True, text=True)
        return done.stdout

    def load(self, image: str) -> None:
        """Give it an image of the machine's Docker."""
        machine = {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"}
        with subprocess.Popen(["docker", "save", image], env=machine, stdout=subprocess.PIPE) as saving:
            subprocess.run(
                ["docker", "load"], env=self._environment, stdin=saving.stdout, check=True, capture_output=True
            )
        assert saving.returncode == 0, f"{image} is not on this machine; script/bootstrap makes it"

    def remove(self) -> None:
        """Stop it and remove all that it made: containers, bridges, mounts and files."""
        if self._process is None:
            return
        self.resume()
        if self._process.poll() is not None:
            self.start()
        if containers := self.docker("ps", "-aq").split():
            self.docker("rm", "-f", *containers)
        if networks := self.docker("network", "ls", "-q", "--filter", "type=custom").split():
            self.docker("network", "rm", *networks)
        self.stop()
        subprocess.run(["ip", "link", "delete", self.bridge], check=True)
        for mount in [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]:
            if Path(mount).is_relative_to(self.folder):
                subprocess.run(["umount", "-l", mount], check=True)
        shutil.rmtree(self.folder)
