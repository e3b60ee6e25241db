"""How an instance does, seen from outside it or from any of its processes: `pushlog status`."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from threading import Thread
from time import monotonic
from typing import Any, TypeVar

from services import instance, overview, parts
from services.errors import PushlogError
from services.health import RUNNING, STANDBY
from services.overview import Held, Overview
from services.parts import Part
from services.processes import Process
from services.runner import SERVICES
from services.settings import Settings

DEADLINE, OVERVIEW_DEADLINE = 8.0, 4.0
"""Seconds for all parts together, and for what tells on which machine a port is."""

NO_HOST = b"HEAD / HTTP/1.0\r\n\r\n"
"""What nginx hangs up on without asking any app: every app has a host."""

T = TypeVar("T")


@dataclass(frozen=True)
class Service:
    """One service and the processes that run it."""

    name: str
    processes: list[Process]

    @property
    def well(self) -> bool:
        """Whether a process runs it, and none that could be heard complains."""
        heard = [process for process in self.processes if not process.silent]
        running = [process for process in heard if process.report.get("state") == RUNNING]
        return bool(running) and not any(p.report["reasons"] for p in heard if p.report["state"] in (RUNNING, STANDBY))


@dataclass(frozen=True)
class Status:
    """How an instance does."""

    settings: Settings
    parts: list[Part]
    services: list[Service]
    leases: list[Held]
    pending: dict[str, int]

    @property
    def well(self) -> bool:
        """Whether nothing is known to be amiss."""
        return all(part.well is not False for part in self.parts) and all(service.well for service in self.services)


def look(settings: Settings) -> Status:
    """Ask every part at once and wait for at most DEADLINE seconds; raises nothing."""
    deadline = monotonic() + DEADLINE
    seen = _begun(lambda: overview.read(settings))

    def node(service: str) -> str:
        try:
            return parts.here() if settings.alone else _node(service, seen.result(timeout=OVERVIEW_DEADLINE))
        except (TimeoutError, PushlogError):
            return ""

    asked: dict[str, Callable[[], Part]] = {
        "ssh": lambda: parts.port("ssh", settings.ssh_bind, settings.ssh_port, node("gitreceiver"), b"", b"SSH-"),
        "http": lambda: parts.port("http", settings.http_bind, settings.http_port, node("router"), NO_HOST),
        "nginx": lambda: parts.nginx(settings, node("router")),
        "docker": lambda: parts.docker(settings),
        "broker": lambda: parts.broker(settings),
        "database": lambda: _database(settings, seen.result()),
        "disk": lambda: parts.disk(settings),
    }
    answers = {name: _begun(ask) for name, ask in asked.items()}
    found = [_part(name, answer, deadline - monotonic()) for name, answer in answers.items()]
    known = seen.result() if seen.done() and not seen.exception() else Overview(0, [], [])
    heard = [process for process in known.processes if not process.silent]
    pending = {type_: n for process in heard for type_, n in process.report["pending"].items()}
    platform = [_platform(settings)] if settings.alone else []
    return Status(settings, platform + found, services_of(known.processes), known.leases, pending)


def _begun(ask: Callable[[], T]) -> Future[T]:
    """What `ask` returns, from a thread that nobody has to wait for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(ask())
        except Exception as error:  # whoever wants the result sees it
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def _part(name: str, answer: Future[Part], seconds: float) -> Part:
    try:
        return answer.result(timeout=max(0.0, seconds))
    except TimeoutError:
        return Part(name, False, "does not answer in time")
    except (PushlogError, OSError) as error:
        return Part(name, False, str(error))


def _platform(settings: Settings) -> Part:
    pid = instance.running_pid(settings.home)
    words = f"process {pid}" if pid else "not running; start it with: pushlog up --detach"
    return Part("platform", pid is not None, words)


def _database(settings: Settings, seen: Overview) -> Part:
    name = "sqlite" if settings.alone else "postgresql"
    return Part("database", True, f"{name}, position {seen.position}", {"position": seen.position})


def _node(service: str, seen: Overview) -> str:
    """Where a service runs, as far as its processes say."""
    nodes = [
        str(process.report.get("node", ""))
        for process in seen.processes
        if service in process.services and process.report.get("state") == RUNNING and not process.silent
    ]
    return nodes[0] if nodes else ""


def services_of(processes: list[Process]) -> list[Service]:
    """Every service, with the processes that run it; one that says nothing of itself may run any."""
    return [Service(name, [p for p in processes if name in (p.services or SERVICES)]) for name in SERVICES]


def text(status: Status) -> str:
    """The report for people."""
    lines = [f"=====> {status.settings.instance} at {status.settings.home}"]
    lines += [f"       {part.name + ':':<12}{'! ' if part.well is False else ''}{part.words}" for part in status.parts]
    lines += ["-----> Services", *(line for service in status.services for line in _service_lines(service))]
    waiting = ", ".join(f"{number} {type_}" for type_, number in sorted(status.pending.items()))
    told = any(not process.silent for service in status.services for process in service.processes)
    lines += ["-----> Work", f"       open:       {waiting or ('nothing' if told else 'not known, as nothing runs')}"]
    lines += [f"       lease:      {held.words}, held by {held.holder}" for held in status.leases]
    return "\n".join(lines)


def _service_lines(service: Service) -> list[str]:
    name = f"       {service.name + ':':<14}"
    if not service.processes:
        return [f"{name}! not running"]
    return [f"{name}{line}" for process in service.processes for line in _process_lines(process, service.well)]


def _process_lines(process: Process, well: bool) -> list[str]:
    report = process.report
    where = f"process {report.get('pid', '?')} on {report['node']}" if "node" in report else f"process {report['pid']}"
    if process.silent:
        since = f" for {process.silence:.0f} s" if process.silence < float("inf") else ""
        return [f"{'' if well else '! '}silent{since}, {where}"]
    lag = f", lag {report['lag']}" if report["lag"] is not None else ""
    broker = ", does not hear the broker" if report["broker"] == "not heard" else ""
    return [f"{report['state']}{lag}{broker}, {where}", *(f"! {reason}" for reason in report["reasons"])]


def as_json(status: Status) -> str:
    """The report for programs: one object, each part with `well` (null: not seen from here) and `words`."""
    rows: dict[str, Any] = {p.name: {"well": p.well, "words": p.words, **p.figures} for p in status.parts}
    services = [
        {"name": s.name, "well": s.well, "processes": [_process(process) for process in s.processes]}
        for s in status.services
    ]
    return json.dumps(
        {
            "instance": status.settings.instance,
            "home": str(status.settings.home),
            "well": status.well,
            **rows,
            "services": services,
            "pending": status.pending,
            "leases": [asdict(held) for held in status.leases],
        }
    )


def _process(process: Process) -> dict[str, Any]:
    silence = process.silence if process.silence < float("inf") else None
    state = "silent" if process.silent else process.report["state"]
    return {**process.report, "holder": process.holder, "state": state, "silence": silence}
