"""What the parts alone take: git, docker and nginx without Pushlog. All are measured once and in seconds."""

import io
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import docker
from docker.models.containers import Container

from tests.e2e.harness import Checkout, free_port

POLL = 0.002
PATIENCE = 30.0
PORT = 5000


def git_push(checkout: Checkout, bare: Path) -> float:
    """`git push` of the checkout's last commit to a bare repository on this machine."""
    if not bare.exists():
        checkout.git("init", "-q", "--bare", str(bare))
        checkout.git("push", "-q", str(bare), "main~1:refs/heads/main")
    start = time.monotonic()
    checkout.git("push", "-q", str(bare), "main")
    return time.monotonic() - start


def docker_commit(client: docker.DockerClient, image: str, file: Path) -> float:
    """docker commit of a container of `image`, never started, in which one small file changed."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.add(file, file.name)
    with _gone_after(client.containers.create(image)) as container:
        container.put_archive("/app", tar.getvalue())
        start = time.monotonic()
        made = container.commit(pause=False)
        taken = time.monotonic() - start
    client.images.remove(made.id)
    return taken


def docker_start(client: docker.DockerClient, image: str, command: str) -> float:
    """docker create + start of `image` with a shell command, until it answers HTTP by its container's address."""
    start = time.monotonic()
    made = client.containers.create(image, ["/bin/bash", "-c", command], user="app", environment={"PORT": PORT})
    with _gone_after(made) as container:
        container.start()
        container.reload()
        address = container.attrs["NetworkSettings"]["IPAddress"]
        _poll(lambda: fetch(address, PORT) is not None, f"an answer of {image} at {address}")
        return time.monotonic() - start


@contextmanager
def _gone_after(container: Container) -> Iterator[Container]:
    try:
        yield container
    finally:
        container.remove(force=True)


class Reload:
    """An nginx of our own below `folder`; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port, self._count = folder, free_port(), 0

    def measure(self) -> float:
        """SIGHUP until the new configuration answers."""
        self._write()
        start = time.monotonic()
        self._nginx.send_signal(signal.SIGHUP)
        self._answers()
        return time.monotonic() - start

    def __enter__(self) -> "Reload":
        (self._folder / "logs").mkdir(parents=True)
        self._write()
        self._nginx = subprocess.Popen(
            ["nginx", "-p", str(self._folder), "-c", "nginx.conf"], stderr=subprocess.DEVNULL
        )
        self._answers()
        return self

    def __exit__(self, *_: object) -> None:
        self._nginx.send_signal(signal.SIGTERM)
        self._nginx.wait()

    def _write(self) -> None:
        self._count += 1
        temp = "".join(f"{name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self._folder / "nginx.conf").write_text(
            "daemon off; worker_processes 2; pid nginx.pid; error_log logs/error.log; events {} "
            f"http {{ access_log off; {temp} server {{ listen 127.0.0.1:{self._port}; return 200 '{self._count}'; }} }}"
        )

    def _answers(self) -> None:
        _poll(lambda: fetch("127.0.0.1", self._port) == str(self._count), "nginx's new configuration")


def fetch(address: str, port: int) -> str | None:
    """What is answered to GET / there, or None."""
    connection = HTTPConnection(address, port, timeout=5)
    with suppress(OSError, HTTPException):
        connection.request("GET", "/", headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else None
    return None


def _poll(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {PATIENCE:g} s")
        time.sleep(POLL)
