"""From `git push`, or from `config:set`, until it is served: each beside what its parts take without Pushlog."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.bench import floors
from tests.bench.figures import Figure, note
from tests.bench.visitor import Visitor
from tests.bench.workbench import Workbench
from tests.e2e.apps import ECHO

PHASES = {
    "push.received": "ssh and pack",
    "build.started": "to the builder",
    "build.succeeded": "build",
    "release.created": "release",
    "deploy.started": "to the deployer",
    "deploy.succeeded": "deploy",
    "route.published": "route",
    "ref.moved": "ref",
}
"""What ends with each event of a push."""


def push_python(bench: Workbench) -> Figure:
    """One changed line of an app without dependencies."""
    figure = Figure("push-python", "re-push of one line, plain Python", "s", 1.5, "2.2 s")
    return _push(bench, figure, "hello-python", "Hello from Python")


def push_flask(bench: Workbench) -> Figure:
    """One changed line of Flask and gunicorn, whose requirements do not change."""
    figure = Figure("push-flask", "re-push of one line, Flask + gunicorn", "s", 3.0, "7.9 s (4.8*)")
    return _push(bench, figure, "hello-flask", "Hello from Flask")


def config_set(bench: Workbench) -> Figure:
    """A config var of an app that shows it."""
    figure = Figure("config", "config:set", "s", 0.8, "1.7 s")
    bench.app("echo", ECHO)
    _deploy(bench, figure, "echo", "/SHOWN", lambda text: bench.instance.ssh("config:set", "echo", f"SHOWN={text}"))
    return figure


def _push(bench: Workbench, figure: Figure, app: str, greeting: str) -> Figure:
    checkout = bench.app(app, app)
    shown = greeting

    def prepare(text: str) -> None:
        nonlocal shown
        checkout.edit("app.py", f'"{shown}"', f'"{text}"')
        checkout.commit()
        shown = text

    def git_floor(_: dict[str, Any]) -> dict[str, float]:
        return {"git push": floors.git_push(checkout, bench.folder / f"{app}.git")}

    def commit_floor(release: dict[str, Any]) -> dict[str, float]:
        return {"commit": floors.docker_commit(bench.client, release["image"], checkout.path / "app.py")}

    _deploy(bench, figure, app, "/", lambda _: checkout.push(app), prepare, [git_floor, commit_floor])
    return figure


def _deploy(
    bench: Workbench,
    figure: Figure,
    app: str,
    path: str,
    act: Callable[[str], object],
    prepare: Callable[[str], object] = lambda _: None,
    more: Sequence[Callable[[dict[str, Any]], dict[str, float]]] = (),
) -> None:
    """Let `act` bring a fresh text to `path` of the app, and measure until it is there; the floors in turns with it."""
    reload = floors.Reload(bench.folder / f"{figure.name}-nginx")
    with reload, Visitor(bench.instance, app, path) as visitor:
        for number in bench.rounds(figure.title):
            text = f"{figure.name}-{number}"
            prepare(text)
            began, start = time.time(), time.monotonic()
            act(text)
            note(figure.beside, {"the command ends after": time.monotonic() - start})
            figure.runs.append(visitor.saw(text) - start)
            events = bench.settled(app)
            note(figure.parts, phases(events, began))
            release = next(event["data"] for event in events if event["type"] == "release.created")
            for floor in more:
                note(figure.floors, floor(release))
            started = floors.docker_start(bench.client, release["image"], release["processes"]["web"])
            note(figure.floors, {"create + start": started, "nginx reload": reload.measure()})
    figure.asked, figure.failed = visitor.asked, visitor.failed


def phases(events: Sequence[dict[str, Any]], began: float) -> dict[str, float]:
    """Where a story's time went, in seconds: from `began` (Unix time) to its first event, and from each to the next."""
    marked = [event for event in events if event["type"] in PHASES]
    times = [began, *(datetime.fromisoformat(event["time"]).timestamp() for event in marked)]
    return {PHASES[event["type"]]: end - start for event, (start, end) in zip(marked, pairwise(times), strict=True)}
