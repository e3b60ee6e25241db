"""Brings routes to the running nginx: a whole configuration is written, tested, switched to, proven, or taken back.

Below `<home>/nginx`: `trees/` the configurations, `current` a link to the one in use, `conf.d/` the operator's own
files, `logs/`, `temp/`, `nginx.pid` and `probe-token`. A tree is never changed, and never trusted after a crash: what
counts is what the running nginx says that it serves. It says so at a socket in the tree itself, so that no host name
leads there, a socket that a killed nginx left stands in nobody's way, and the answer can be of no other tree.
"""

import logging
import secrets
import stat
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from router import front, machine
from router.master import Master
from router.probe import Answer, ask, served, token
from router.render import AppRoute, RouteRefused, tree
from router.trees import Trees
from services.errors import PushlogError
from services.settings import Settings

__all__ = ["Nginx", "RouteRefused"]

ANSWER_WITHIN = 2.0
FRONT_AGAIN = 3600.0
"""Seconds until the front is tried again that nginx did not take: it may only have been slow."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """The tree that nginx said it serves, as `trees/<name>` (or nothing), and how many changes were made by then."""

    tree: str
    changes: int


class Nginx:
    """One instance's nginx. Every method may be called from any thread; one change is made at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.home / "nginx"
        self._trees = Trees(self._folder)
        self._master = Master(settings.nginx, self._folder)
        self._lock = threading.Lock()
        self._changes = 0
        self._front_due = 0.0

    def look(self) -> Seen:
        """Ask nginx what it serves, within ANSWER_WITHIN seconds. Keeps nobody else from changing it meanwhile."""
        changes, tree = self._changes, self._trees.target()
        running = tree and self._master.pid() is not None
        return Seen(served(self._trees.socket(tree), monotonic() + ANSWER_WITHIN) if running else "", changes)

    def ensure(self, routes: Iterable[AppRoute], seen: Seen | None = None) -> None:
        """Have nginx run and serve exactly `routes`; nothing is done when it does already.

        `seen` is what a `look` told shortly before; without it nginx is asked. Raises RouteRefused when nginx does not
        take the routes, Unavailable when it does not start. Either way what was served before is served still.
        """
        seen = seen or self.look()
        with self._lock:
            self._master.trim_log()
            routes = list(routes)
            files = self._render(routes, self._with_front())
            # a change since the look was proven itself
            serves = seen.changes != self._changes or seen.tree == self._trees.target()
            if self._has_lost_front(files):  # nginx makes the socket again only after it was without one
                self._switch(self._render(routes, with_front=False, with_socket=False))
                serves = False
            if not (serves and self._trees.holds(files)):
                self._switch_or_do_without(files, routes)
            self._master.protect()

    def prove(self, route: AppRoute) -> None:
        """Return when a container of `route` answered through nginx, which serves it already.

        Waits for the answer at most as long as the setting `check_timeout`, however it comes in, and keeps nobody else
        from changing nginx. An app that is stopped or without hosts is not asked. Raises RouteRefused.
        """
        if not (route.hosts and route.upstreams):
            return
        host, begun, pause = _sample(route.hosts), monotonic(), 0.005
        seconds = self._settings.check_timeout
        while told := _missing(self._ask(host, begun + seconds), route):
            if monotonic() > begun + min(ANSWER_WITHIN, seconds):
                raise RouteRefused(f"{host}: {told}")
            time.sleep(pause)
            pause = min(2 * pause, 0.25)

    def stop(self) -> None:
        """Stop nginx; requests in flight have the setting `drain` to finish. Raises Unavailable when it stays."""
        with self._lock:
            self._master.stop(self._settings.drain)

    def is_there(self) -> bool:
        """Whether any process of this nginx runs, be it a worker whose master was killed."""
        return self._master.is_there()

    def status(self) -> dict[str, Any]:
        """`running`, the master's `pid`, and the id of the `tree` that it serves (None when it does not say)."""
        pid, seen = self._master.pid(), self.look()
        return {"running": pid is not None, "pid": pid, "tree": seen.tree[len("trees/") :].partition(".")[0] or None}

    def _has_lost_front(self, files: dict[str, str]) -> bool:
        """Whether nginx should run behind a front with `files`, and somebody removed the socket."""
        there = self._master.pid() is None or (self._folder / front.SOCKET).exists()
        return _is_fronted(files) and self._trees.holds(files) and not there

    def _with_front(self) -> bool:
        """Whether nginx counts connections before it reads them, if it can (see router/front.py)."""
        return monotonic() >= self._front_due and front.is_free(self._folder / "conf.d")

    def _render(self, routes: Iterable[AppRoute], with_front: bool, with_socket: bool = True) -> dict[str, str]:
        for name, mode in (("", 0o711), ("trees", 0o700), ("logs", 0o711), ("temp", 0o711), ("conf.d", 0o755)):
            folder = self._folder / name
            made = not folder.is_dir()
            folder.mkdir(parents=True, exist_ok=True)
            # whoever made a folder with another mode: the workers must pass; the operator's own stays as it is
            if made or (name != "conf.d" and stat.S_IMODE(folder.stat().st_mode) != mode):
                folder.chmod(mode)
        on = machine.here(self._settings.nginx)
        front.prepare(self._folder, on.group)
        on = replace(on, stream=on.stream if with_front else None, socket=on.socket and with_socket)
        return tree(routes, self._settings, token(self._folder), on)

    def _switch_or_do_without(self, files: dict[str, str], routes: list[AppRoute]) -> None:
        """Switch to `files`, or to the same routes without the front, if this is what nginx does not take."""
        try:
            self._switch(files)
        except RouteRefused as error:
            if not _is_fronted(files):
                raise
            self._switch(self._render(routes, with_front=False))
            self._front_due = monotonic() + FRONT_AGAIN
            logger.warning("half-sent requests are not limited per address: with the stream module, %s", error)

    def _switch(self, files: dict[str, str]) -> None:
        """Write, test, swap, reload or start, prove; what goes wrong after the swap is undone."""
        target = self._trees.write(files)
        try:
            self._master.test(f"{target}/nginx.conf")
        except PushlogError:
            self._trees.remove(target)
            raise
        before = self._trees.target()
        running = self._master.pid() is not None
        self._trees.point(target)
        try:
            if running:
                self._master.reload()
            else:
                self._master.start("current/nginx.conf")
            if served(self._trees.socket(target), monotonic() + ANSWER_WITHIN) != target:
                raise RouteRefused("nginx serves another configuration")
        except PushlogError as error:
            self._put_back(before, running, error)
            raise
        self._changes += 1
        self._trees.clean({target, before})

    def _put_back(self, before: str, running: bool, error: PushlogError) -> None:
        try:
            if before:
                self._trees.point(before)
            if not running:
                self._master.stop(0)
            elif before:
                self._master.reload()
        except PushlogError as other:
            raise RouteRefused(f"{error}; nginx did not go back to what it served: {other}") from other

    def _ask(self, host: str, deadline: float) -> Answer | None:
        bind = self._settings.http_bind.removeprefix("[").removesuffix("]")
        address = "127.0.0.1" if bind in ("", "::", "0.0.0.0") else bind  # noqa: S104
        return ask((address, self._settings.http_port), host, token(self._folder), deadline)


def _is_fronted(files: dict[str, str]) -> bool:
    return "\nstream {" in files["nginx.conf"]


def _sample(hosts: tuple[str, ...]) -> str:
    """A name to ask for: one of `hosts`, or one that only a wildcard can serve."""
    plain = [host for host in hosts if not host.startswith("*.")]
    return plain[0] if plain else hosts[0].replace("*", f"pushlog-{secrets.token_hex(8)}")


def _missing(answer: Answer | None, route: AppRoute) -> str:
    """What of the proof is missing, as a sentence; nothing when it is complete."""
    if answer is None:
        return "nothing answered through nginx"
    if answer.release != route.upstream:
        return "another server of nginx answers for this host; is it in conf.d?"
    return "" if answer.container in route.upstreams else "no container of the release answered through nginx"
