"""Whether the log, the states, the containers and what nginx answers agree, once all that was asked for has ended."""

import json
from collections import Counter
from collections.abc import Iterator

from deployer import spec
from deployer.state import App, State, identity
from services.events import BuildSucceeded, Event, Recorded
from tests.e2e.harness import wait_for
from tests.e2e.world import recorded
from tests.soak.acts import KEYS, Soak

QUIET = 90.0
"""Seconds in which everything that was asked for must have ended, whatever was killed."""


class Agreement:
    """Checks a soak again and again; what it saw of the log before must stand there for ever."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak
        self._hashes: list[str] = []
        self._said: list[str] = []
        self.events: list[Recorded[Event]] = []

    def check(self) -> None:
        """Wait until the world is as the log says; AssertionError when it does not become so, or the log forgot."""
        try:
            wait_for(self._agrees, "agreement", QUIET)
        except AssertionError as error:
            raise AssertionError("; ".join([str(error), *self._said])) from None
        hashes = [event.hash for event in self.events]
        assert hashes[: len(self._hashes)] == self._hashes, "the log changed what it had recorded"
        assert [event.position for event in self.events] == list(range(1, len(hashes) + 1)), "the log has a gap"
        self._hashes = hashes

    def _agrees(self) -> bool:
        self.events = [recorded(found) for found in self._soak.instance.events()]
        state = State()
        for event in self.events:
            state.evolve(event)
        self._said = [*self._of_containers(state), *(said for app in state.apps.values() for said in self._of_app(app))]
        known = {app.name for app in state.apps.values()}
        self._said += [f"{name} was acknowledged and is not known" for name in self._soak.stands.keys() - known]
        return not self._said

    def _of_containers(self, state: State) -> Iterator[str]:
        """Containers that are missing, or there and not wanted, or twice."""
        apps = state.apps.values()
        wanted = Counter(identity(slot) for app in apps if app.current for slot in app.current.slots)
        running = self._soak.instance.containers()
        there = Counter(spec.labelled(found["Config"]["Labels"]) for found in running if found["State"]["Running"])
        yield from (f"no container {missing}" for missing in wanted - there)
        yield from (f"a container too many: {extra}" for extra in there - wanted)
        yield from (f"{app.name} has a release under way" for app in apps if app.candidate or app.retiring)

    def _of_app(self, app: App) -> Iterator[str]:
        """What an app answers otherwise than its release says."""
        if app.current is None or not any(slot.process == "web" for slot in app.current.slots):
            return
        release = app.releases[app.current.release].data
        image = release.image
        built = [e.data for e in self.events if isinstance(e.data, BuildSucceeded) and e.data.image == image]
        text = self._soak.texts[built[-1].commit]
        for host in release.domains:
            if (answer := self._ask(host, "/")) != text:
                yield f"{host} answers {answer!r}, not {text!r}"
        if app.current.release == max(app.releases) and release.domains:
            config = json.loads(self._soak.instance.ssh("config:show", app.name, "--format", "json").stdout)
            for key in KEYS:
                if (answer := self._ask(release.domains[0], f"/{key}")) != config.get(key, ""):
                    yield f"{app.name} has {key}={answer!r}, not {config.get(key)!r}"

    def _ask(self, host: str, path: str) -> str:
        try:
            return self._soak.instance.get(host, path).text
        except OSError as error:
            return repr(error)
