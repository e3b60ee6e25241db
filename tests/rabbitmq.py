"""A RabbitMQ broker of the tests' own: its own node, ports, data and passwords, and nothing of the machine's.

It is started by the first test that asks for it, in about 10 s, and stopped at the session's end. Each test has a
virtual host, a user and a password of its own: `amqp_url` is the way in.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_TIMEOUT = 90.0
STOP_TIMEOUT = 30.0
REQUEST_TIMEOUT = 30


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nobody listens, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Broker:
    """A broker in `folder`. It has no user `guest`; `admin_password` is its administrator's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.http_port, self._dist_port, self._epmd_port = free_ports(4)
        self.admin_password = secrets.token_urlsafe(16)
        self.node = f"pushlog-{secrets.token_hex(4)}@localhost"
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = ("admin", self.admin_password)
        (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.http_port}\n"
            f"default_user = admin\ndefault_pass = {self.admin_password}\ndisk_free_limit.absolute = 50MB\n"
        )

    def _environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            "PATH": os.environ["PATH"],
            "HOME": folder,  # its Erlang cookie
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": folder + "/data",
            "RABBITMQ_LOG_BASE": folder + "/log",
            "RABBITMQ_CONFIG_FILE": folder + "/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": folder + "/enabled_plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
            "RUNNING_UNDER_SYSTEMD": "true",  # then the script becomes the server: signals reach it
        }

    def start(self) -> None:
        """Start it and return when it answers; what was durable before it stopped is there again."""
        if self._epmd is None:
            self._epmd = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)]
            )
        with (self.folder / "console").open("ab") as console:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", SERVER],  # it does not outlive a session that is killed
                env=self._environment(),
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError("RabbitMQ does not start: " + (self.folder / "console").read_text()[-2000:])
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether it is there and takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return self._session.get(f"http://127.0.0.1:{self.http_port}/api/overview", timeout=5).ok
        except (OSError, requests.RequestException):
            return False

    def kill(self) -> None:
        """End it as a power cut would."""
        self._signal(signal.SIGKILL)
        if self._process:
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it in order; it may be started again."""
        if self._process:
            self.resume()
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
            self.kill()

    def pause(self) -> None:
        """Let it stand still, as a host under too much load does: connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and its epmd at once."""
        self.kill()
        self._session.close()
        if self._epmd:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def _signal(self, number: int) -> None:
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the management API, as in `api("GET", "queues/VHOST")`; returns its JSON, or None for an empty answer."""
        answer = self._session.request(
            method, f"http://127.0.0.1:{self.http_port}/api/{path}", json=body, timeout=REQUEST_TIMEOUT
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def ctl(self, *argv: str) -> str:
        """Run rabbitmqctl (1 to 3 s); returns what it says."""
        return subprocess.run(
            [SERVER.with_name("rabbitmqctl"), "--quiet", *argv],
            env=self._environment(),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout

    def url(self, name: str | None = None) -> str:
        """The amqp URL of a fresh virtual host called `name`, with a user of its own and a random password."""
        name = name or f"test-{secrets.token_hex(4)}"
        password = secrets.token_urlsafe(16)
        self.api("PUT", f"vhosts/{quote(name, '')}")
        self.api("PUT", f"users/{name}", {"password": password, "tags": ""})
        self.api("PUT", f"permissions/{quote(name, '')}/{name}", {"configure": ".*", "write": ".*", "read": ".*"})
        return f"amqp://{name}:{password}@127.0.0.1:{self.port}/{quote(name, '')}"

    def queues(self, url: str) -> dict[str, dict[str, Any]]:
        """The queues of the virtual host of `url` by name: `arguments`, `durable`, `type`, `exclusive`, …"""
        return {queue["name"]: queue for queue in self.api("GET", f"queues/{vhost(url)}")}

    def purge(self, url: str) -> None:
        """Throw away every message that waits in a lasting queue of the virtual host of `url`."""
        for name, queue in self.queues(url).items():
            if not queue["exclusive"]:  # those are their owner's alone
                try:
                    self.api("DELETE", f"queues/{vhost(url)}/{quote(name, '')}/contents")
                except requests.HTTPError as error:
                    if error.response.status_code != 404:  # it was replaced since it was listed
                        raise

    def alarm(self, on: bool) -> None:
        """Raise or end the memory alarm: while it is on, connections that publish are blocked."""
        self.ctl("set_vm_memory_high_watermark", *(["absolute", "1"] if on else ["0.4"]))


def vhost(url: str) -> str:
    """The virtual host of an amqp URL, as it stands in the URL."""
    return url.rpartition("/")[2]


def started(folder: Path | None = None) -> Broker:
    """A running broker; the caller closes it."""
    broker = Broker(folder or Path(tempfile.mkdtemp(prefix="pushlog-rabbitmq-")))
    try:
        broker.start()
    except BaseException:
        broker.close()
        raise
    return broker


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The session's broker. A test that hurts it heals it, or takes `own_rabbitmq`."""
    broker = started(tmp_path_factory.mktemp("rabbitmq"))
    yield broker
    broker.close()


@pytest.fixture
def own_rabbitmq(tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, for what would disturb other tests."""
    (tmp_path / "rabbitmq").mkdir()
    broker = started(tmp_path / "rabbitmq")
    yield broker
    broker.close()
    shutil.rmtree(broker.folder)


@pytest.fixture
def amqp_url(rabbitmq: Broker) -> str:
    """The URL of a virtual host of the test's own on the session's broker."""
    return rabbitmq.url()


@pytest.fixture
def amqp_urls(rabbitmq: Broker) -> Callable[[], str]:
    """Makes URLs of further virtual hosts."""
    return rabbitmq.url


__all__ = ["Broker", "amqp_url", "amqp_urls", "own_rabbitmq", "rabbitmq", "started", "vhost"]

if __name__ == "__main__":
    by_hand = started()
    print(json.dumps({"url": by_hand.url(), "http": by_hand.http_port, "admin": by_hand.admin_password}), flush=True)
    with suppress(KeyboardInterrupt):
        signal.pause()
    by_hand.close()
    shutil.rmtree(by_hand.folder)
