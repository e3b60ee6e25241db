"""The tar of a pushed tree: gitreceiver makes it when a build wants it, and it goes when the build has its outcome."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from builder.ports import Ports
from builder.state import App, Build
from services.errors import Unavailable

Call = Callable[..., Any]


def fetch(ports: Ports, call: Call, app: App, build: Build) -> Path:
    """Where the tar of a build's tree is; returns once it is there.

    Raises BadInput for a tree that is refused, Refused when what was pushed is not kept, and Unavailable.
    """
    path, began = ports.sources.path(app.id, build.id), monotonic()
    while not path.exists():
        call("gitreceiver", "source", app=app.id, push=build.id, commit=build.commit, blob=build.source)
        if monotonic() - began > ports.settings.build_timeout:
            raise Unavailable(f"the source of {app.name} was not there within {ports.settings.build_timeout:.0f} s")
    return path


def sweep(ports: Ports) -> None:
    """Remove the tars of builds that have their outcome. Only for the builder that makes images again: it uses such."""
    there = list(ports.sources.there())
    ports.projections.catch_up()
    for app, push in set(there) - ports.state.building():
        ports.sources.remove(app, push)
