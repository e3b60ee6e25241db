"""What `pushlog status` makes of what it is told."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services import overview, parts, status
from services.overview import Held
from services.parts import Part
from services.processes import SILENT, Process
from services.runner import SERVICES
from services.settings import Settings

CLUSTER = {"log_url": "postgresql://me:hunter2@localhost:1/log", "broker_url": "amqp://me:hunter2@localhost:1/"}


def process(*services: str, silence: float = 1.0, **report: Any) -> Process:
    """A process that runs these services and is well, unless the report says otherwise."""
    well = {"state": "running", "reasons": [], "lag": 0, "broker": "heard", "pending": {}, "node": "vm", "pid": 7}
    return Process(f"vm/{services}", services, {**well, **report}, silence)


def seen(*processes: Process, leases: tuple[Held, ...] = ()) -> status.Status:
    """The status of a cluster of these processes, all of whose parts are well."""
    settings = Settings(home=Path("/nowhere"), **CLUSTER)
    services = status.services_of(list(processes))
    return status.Status(settings, [Part("disk", True, "enough")], services, list(leases), {})


def test_all_is_well_when_each_service_has_a_process_that_runs() -> None:
    assert seen(*(process(name) for name in SERVICES)).well
    assert seen(process(*SERVICES)).well


@pytest.mark.parametrize(
    "other",
    [
        process("builder", silence=SILENT + 1),
        process("builder", state="standby"),
        process("builder", state="starting", reasons=["it has not started yet"]),
        process("builder", reasons=["the broker has not been heard for 70 s"]),
    ],
)
def test_a_service_that_no_process_runs_well_is_amiss(other: Process) -> None:
    rest = [process(name) for name in SERVICES if name != "builder"]
    told = seen(*rest, other)
    assert not told.well
    assert [service.name for service in told.services if not service.well] == ["builder"]
    assert not seen(*rest).well


@pytest.mark.parametrize(
    "other",
    [
        process("router", silence=SILENT + 1),
        process("router", state="standby", lag=None),
        process("router", state="starting", reasons=["it has not started yet"]),
    ],
)
def test_beside_one_that_runs_another_may_be_silent_stand_by_or_start(other: Process) -> None:
    assert seen(*(process(name) for name in SERVICES), other).well


def test_what_is_open_is_not_known_while_nobody_says() -> None:
    assert "open:       nothing" in status.text(seen(process("builder")))
    assert "open:       not known" in status.text(seen(process("builder", silence=SILENT + 1)))
    assert "open:       not known" in status.text(seen())


def test_a_lease_is_told_by_what_it_is_for() -> None:
    push = Held("0198", "vm/1", 2, "push.received", "hello")
    role = Held("role/router", "vm/2", 1, "", "")
    text = status.text(seen(leases=(push, role)))
    assert "lease:      push.received of hello, attempt 2, held by vm/1" in text
    assert "lease:      the role of router, held by vm/2" in text


def test_a_silent_process_and_a_broker_that_is_down_show() -> None:
    text = status.text(seen(process("builder", silence=31.0), process("router", broker="not heard")))
    assert "builder:      ! silent for 31 s, process 7 on vm" in text
    assert "router:       running, lag 0, does not hear the broker, process 7 on vm" in text
    assert "deployer:     ! not running" in text


def test_programs_are_told_the_same_as_people() -> None:
    told = json.loads(status.as_json(seen(process("builder"))))
    assert told["well"] is False
    assert told["disk"] == {"well": True, "words": "enough"}
    (builder,) = (service for service in told["services"] if service["name"] == "builder")
    assert builder["well"] is True
    assert builder["processes"][0]["state"] == "running"


def test_a_database_and_a_broker_that_are_away_are_told_without_their_passwords(tmp_path: Path) -> None:
    told = status.look(Settings(home=tmp_path, **CLUSTER))
    amiss = {part.name: part.words for part in told.parts if part.well is False}
    assert amiss["database"].startswith("does not answer: ")
    assert amiss["broker"].startswith("does not answer: ")
    assert not told.well
    assert "hunter2" not in status.text(told) + status.as_json(told)


def test_what_hangs_delays_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(status, "DEADLINE", 0.5)
    monkeypatch.setattr(parts, "disk", lambda _: over.wait())
    monkeypatch.setattr(overview, "read", lambda _: over.wait())
    try:
        told = {part.name: part for part in status.look(Settings(home=tmp_path)).parts}
    finally:
        over.set()
    assert told["disk"] == Part("disk", False, "does not answer in time")
    assert told["database"].words == "does not answer in time"
    assert told["broker"].well


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port at which connections are taken and nothing is said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_must_answer_and_not_only_take_connections(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "TIMEOUT", 0.2)
    assert (
        parts.port("ssh", "", silent_port, parts.here(), b"", b"SSH-").words
        == f"port {silent_port} does not answer in time"
    )


def test_a_port_elsewhere_that_is_not_reached_is_no_fault(silent_port: int) -> None:
    told = parts.port("ssh", "", silent_port, "host.invalid", b"", b"SSH-")
    assert (told.well, told.words) == (None, "not seen from here; it runs on host.invalid")
    told = parts.port("ssh", "127.0.0.1", 1, "", b"", b"SSH-")
    assert (told.well, told.words) == (None, "not seen from here")


def test_without_a_socket_docker_cannot_be_seen_and_that_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    assert parts.docker(Settings(home=tmp_path, **CLUSTER)).well is None
    assert parts.docker(Settings(home=tmp_path)).well is False


def test_a_disk_that_is_nearly_full_is_amiss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parts.disk(Settings(home=tmp_path)).figures["free"] > 0
    monkeypatch.setattr(parts, "LEAST_FREE", 1 << 62)
    assert parts.disk(Settings(home=tmp_path)).well is False
