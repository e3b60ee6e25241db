"""The text of nginx's configuration, as a pure function of the routes: nothing here touches the machine."""

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from router.front import SOCKET
from router.limits import WORKERS, limits
from router.machine import Machine
from router.probe import PROBE_PATTERN
from services import names
from services.errors import BadInput, PushlogError
from services.settings import Settings

TREE_PATTERN = r"^trees/[0-9a-f]{16}\.[0-9a-f]{8}$"
PLAIN = Machine()

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


class RouteRefused(PushlogError):
    """nginx did not take the routes, or an app did not answer through it; every app is served as before."""


@dataclass(frozen=True)
class AppRoute:
    """Where one app's requests go: from `hosts` to `upstreams`, each `address:port` of a container of the release.

    Without upstreams the app is stopped and answers 502; without hosts it is not served at all. A value that is not
    a name, a host or an address is BadInput, so that none can be read as configuration.
    """

    app: str
    release: int
    attempt: int
    hosts: tuple[str, ...]
    upstreams: tuple[str, ...]

    def __post_init__(self) -> None:
        names.app_name(self.app)
        for number in (self.release, self.attempt):
            if not isinstance(number, int) or number < 1:
                raise BadInput(f"release: {names.shown(str(number))} is not a number; allowed are 1, 2, …")
        for host in self.hosts:
            names.host(host)
        for upstream in self.upstreams:
            _check_upstream(upstream)
        for what in (self.hosts, self.upstreams):
            if len(set(what)) != len(what):
                raise BadInput(f"route: {self.app} names {names.shown(' '.join(what))} twice; allowed is once each")

    @property
    def upstream(self) -> str:
        """The name of the release in nginx, such as `hello.v3.1`; a probe is told it."""
        return f"{self.app}.v{self.release}.{self.attempt}"


def tree(routes: Iterable[AppRoute], settings: Settings, token: str, machine: Machine = PLAIN) -> dict[str, str]:
    """The files of a configuration: relative path → text. The same input gives the same text, in any order.

    `token` (32 hexadecimal digits) is what a request shows in `X-Pushlog-Probe` to be told who answered it.
    Raises RouteRefused for an app or host that is routed twice, and BadInput for a bad token or bind address.
    """
    if not names.matches(PROBE_PATTERN, token):
        raise BadInput("token: it is not a probe token; allowed are 32 hexadecimal digits")
    served = sorted((route for route in _once(routes) if route.hosts), key=lambda route: route.app)
    public = addresses(settings, machine)
    inner = [f"unix:{SOCKET} proxy_protocol"] if machine.socket else []
    listens = (public if machine.stream is None else []) + inner
    files = {f"apps/{route.app}.conf": _render("app.conf.j2", route=route, listens=listens) for route in served}
    files["nginx.conf"] = _render(
        "nginx.conf.j2",
        settings=settings,
        machine=machine,
        public=public,
        listens=listens,
        token=token,
        workers=WORKERS,
        socket=SOCKET,
        limits=limits(settings, machine),
    )
    return files


def internal(folder: str) -> dict[str, str]:
    """The file by which the configuration in `folder`, such as `trees/0123456789abcdef.01234567`, tells its name."""
    if not names.matches(TREE_PATTERN, folder):
        raise BadInput(f"tree: {names.shown(folder)} is not a tree; use trees/0123456789abcdef.01234567")
    return {"tree.conf": _render("tree.conf.j2", tree=folder)}


def tree_id(files: dict[str, str]) -> str:
    """The id of `files`, which `tree` made: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path, text in sorted(files.items()):
        digest.update(f"{path}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()[:16]


def addresses(settings: Settings, machine: Machine) -> list[str]:
    """What nginx listens on, as `listen` takes it. An empty or `::` bind is every address of both families."""
    bind = settings.http_bind.removeprefix("[").removesuffix("]")
    try:
        ip = ipaddress.ip_address("not one" if "%" in bind else bind or "::")
    except ValueError:
        raise BadInput(
            f"PUSHLOG_HTTP_BIND: {names.shown(settings.http_bind)} is not an address; allowed is an IP address, or "
            "nothing for every address"
        ) from None
    if ip == ipaddress.ip_address("::"):
        both = [f"0.0.0.0:{settings.http_port}", f"[::]:{settings.http_port}"]
        return both if machine.ipv6 else both[:1]
    return [f"[{ip}]:{settings.http_port}" if ip.version == 6 else f"{ip}:{settings.http_port}"]


def _once(routes: Iterable[AppRoute]) -> Iterable[AppRoute]:
    owners: dict[str, str] = {}
    apps: set[str] = set()
    for route in routes:
        if route.app in apps:
            raise RouteRefused(f"the app {route.app} is routed twice; allowed is one route for each app")
        apps.add(route.app)
        for host in route.hosts:
            if host in owners:
                raise RouteRefused(f"{host} is routed to both {owners[host]} and {route.app}; allowed is one app")
            owners[host] = route.app
        yield route


def _check_upstream(value: str) -> None:
    address, _, port = value.rpartition(":")
    try:
        ip = ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
        number = int(port)
        plain = f"[{ip}]:{number}" if ip.version == 6 else f"{ip}:{number}"
    except ValueError:
        plain, number = "", 0
    # Python reads more as an address or a number than nginx does: only the plain spelling passes.
    if value != plain or not 1 <= number <= 65535 or not re.fullmatch(r"[0-9a-f.:\[\]]+", value):
        raise BadInput(f"upstream: {names.shown(value)} is not an address and port; allowed is such as 10.77.0.5:5000")


def _render(template: str, **values: object) -> str:
    return _templates.get_template(template).render(values)
