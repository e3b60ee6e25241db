"""Whether a candidate is up, asked of real sockets; what Docker would say is given."""

import socket
from pathlib import Path

import pytest

from deployer import health
from deployer.containers import Look
from services.events import Slot
from services.settings import Settings

RUNNING = Look(running=True, exit_code=0, error="", gave_up=False)
ENDED = Look(running=False, exit_code=3, error="", gave_up=False)
QUICK = Settings(home=Path("/nonexistent"), check_timeout=0.3, check_uptime=0.3)


@pytest.fixture
def bound():
    """A socket on a port of its own that does not accept yet."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield server


def slot(process, port):
    return Slot(
        process=process,
        number=1,
        address="127.0.0.1",
        port=port,
        spec="0" * 64,
        made_by="00000000-0000-4000-8000-000000000001",
        attempt=1,
    )


def wait(process, server, look=lambda: RUNNING):
    health.wait(slot(process, server.getsockname()[1]), look, QUICK)


def test_a_web_process_is_healthy_once_it_accepts(bound):
    def look():
        bound.listen()
        return RUNNING

    wait("web", bound, look)


def test_a_web_process_that_does_not_accept_in_time_is_not(bound):
    with pytest.raises(health.Unhealthy, match=r"web\.1 did not accept connections on port \d+ within 0\.3 s"):
        wait("web", bound)


@pytest.mark.parametrize("process", ["web", "worker"])
def test_a_process_that_ends_is_not_waited_for(bound, process):
    with pytest.raises(health.Unhealthy, match=rf"{process}\.1 exited with code 3"):
        wait(process, bound, lambda: ENDED)


def test_a_process_that_is_removed_is_not_waited_for(bound):
    with pytest.raises(health.Unhealthy, match=r"worker\.1 was removed before it was up"):
        wait("worker", bound, lambda: None)


def test_a_process_without_a_port_is_healthy_once_it_stayed_up(bound):
    wait("worker", bound)


def test_a_process_without_a_port_that_ends_at_the_last_moment_is_not(bound):
    looks = iter([RUNNING, RUNNING, ENDED])
    with pytest.raises(health.Unhealthy, match="exited with code 3"):
        wait("worker", bound, lambda: next(looks, ENDED))
