"""A Context with a small platform of its own behind it: it keeps apps, config and keys as the services would."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cli.values import Wanted
from services import names
from services.errors import BadInput, NoSuchApp, PushlogError, Refused
from services.memorylog import MemoryLog
from services.terminal import redrawn


@dataclass
class FakeContext:
    """Commands run on it in memory. `calls` holds each RPC as (service, method, arguments)."""

    actor: str = "admin SHA256:x"
    origin: str = "198.51.100.7:50000"
    user: str = "pushlog"
    tty: bool = False
    columns: int = 120
    domain: str = "localhost"
    http_port: int = 8080
    quiet: bool = False
    format: str = ""
    force: bool = False
    at: int | None = None
    dry_run: bool = False
    caches: dict[str, int] | None = field(default_factory=lambda: {"hello": 1 << 20})
    held: frozenset[str] = frozenset({"read", "write", "admin"})
    stdin: bytes = b""
    log: MemoryLog = field(default_factory=MemoryLog)
    happened: list[dict[str, Any]] = field(default_factory=list)
    story: list[bytes | int] = field(default_factory=lambda: [b"-----> Deploying\n", 0])
    log_batches: list[list[dict[str, str]]] = field(default_factory=list)
    leaves_after: int | None = None
    fault: Exception | None = None
    out: bytes = b""
    err: bytes = b""
    writes: int = 0
    pauses: int = 0
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    apps: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    wanted: Wanted | None = None

    def permits(self, needs: str, app: str | None) -> bool:
        return needs in self.held

    def call(self, service: str, method: str, **kwargs: Any) -> Any:
        self.calls.append((service, method, kwargs))
        if self.fault:
            raise self.fault
        return getattr(self, f"_{service}_{method}")(**kwargs)

    def read_stdin(self, limit: int) -> bytes:
        if len(self.stdin) > limit:
            raise BadInput(f"stdin: longer than {limit} bytes; allowed are at most {limit}")
        return self.stdin

    def read_line(self, limit: int) -> bytes:
        line, newline, self.stdin = self.stdin.partition(b"\n")
        return (line + newline)[:limit]

    def write(self, data: bytes, *, exact: bool = False) -> None:
        self.out += data
        self.writes += 1

    def write_err(self, data: bytes) -> None:
        self.err += data

    def redraw(self, text: str) -> None:
        self.err += redrawn(text)

    def pause(self, seconds: float) -> None:
        self.pauses += 1
        if self.leaves_after is not None and self.pauses > self.leaves_after:
            raise PushlogError("the client is gone")

    def seal(self, app: str, key: str, value: str) -> str:
        return f"sealed:{app}:{key}:{value[::-1]}"

    def open(self, app: str, key: str, sealed: str) -> str:
        assert sealed.startswith(f"sealed:{app}:{key}:")
        return sealed.removeprefix(f"sealed:{app}:{key}:")[::-1]

    def rekey(self, limit: int) -> dict[str, Any]:
        key = self.read_line(limit).decode().strip()
        return {"given": bool(key), "keys": len(self.apps)}

    def follow(self, correlation: str) -> Iterator[bytes | int]:
        assert correlation == "story-1"
        yield from self.story

    def events(self, wanted: Wanted) -> Iterator[list[dict[str, Any]]]:
        self.wanted = wanted
        yield [event for event in self.happened if wanted.app in (None, event["subject"])]

    # what the services answer

    def _app(self, name: str) -> dict[str, Any]:
        if name not in self.apps:
            raise NoSuchApp.named(name)
        return self.apps[name]

    def _configsvc_create_app(self, name: str) -> dict[str, str]:
        if name in self.apps:
            raise Refused(f"app: {name} is taken; choose another name")
        self.apps[name] = {
            "config": {},
            "domains": [f"{name}.localhost"],
            "formation": {"web": 1},
            "release": None,
            "processes": [],
            "builds": [],
            "releases": [],
        }
        return {"name": name, "app": "uuid"}

    def _configsvc_destroy_app(self, name: str, now: bool) -> dict[str, Any]:
        self._app(name)
        del self.apps[name]
        return {"name": name, "undo": None if now else 17, "grace": 86400.0}

    def _configsvc_list_apps(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "app": "uuid", "created": "t", "release": app["release"], "deployed": bool(app["release"])}
            for name, app in sorted(self.apps.items())
        ]

    def _configsvc_app_exists(self, name: str) -> bool:
        return name in self.apps

    def _configsvc_config(self, name: str) -> dict[str, str]:
        return dict(self._app(name)["config"])

    def _change(self, name: str, deploy: bool = True, *, changed: bool = True) -> dict[str, Any]:
        app = self._app(name)
        if app["release"] is None or not changed:
            return {"release": None, "correlation": None, "changed": changed}
        app["release"] += 1
        return {"release": app["release"], "correlation": "story-1" if deploy else None, "changed": True}

    def _configsvc_change_config(
        self, name: str, set: dict[str, str], unset: list[str], deploy: bool
    ) -> dict[str, Any]:
        config = self._app(name)["config"]
        wanted = {key: value for key, value in (config | set).items() if key not in unset}
        self.apps[name]["config"] = wanted
        return self._change(name, deploy, changed=wanted != config)

    def _configsvc_domains(self, name: str) -> list[str]:
        return list(self._app(name)["domains"])

    def _configsvc_change_domains(self, name: str, add: list[str], remove: list[str]) -> dict[str, Any]:
        app = self._app(name)
        app["domains"] = [host for host in [*app["domains"], *add] if host not in remove]
        return self._change(name)

    def _configsvc_formation(self, name: str) -> dict[str, int]:
        return dict(self._app(name)["formation"])

    def _configsvc_scale(self, name: str, formation: dict[str, int], deploy: bool) -> dict[str, Any]:
        self._app(name)["formation"].update(formation)
        return self._change(name, deploy)

    def _configsvc_releases(self, name: str) -> list[dict[str, Any]]:
        return list(self._app(name)["releases"])

    def _configsvc_release(self, name: str, number: int | None) -> dict[str, Any]:
        rows = self._app(name)["releases"]
        return dict(next(row for row in rows if number in (None, row["number"])))

    def _configsvc_rollback_plan(self, name: str, number: int | None, keep: list[str]) -> dict[str, Any]:
        self._app(name)
        return {"release": number or 1, "changes": {"config": "unset A", "image": "b → a"}}

    def _configsvc_rollback(self, name: str, number: int, keep: list[str]) -> dict[str, Any]:
        return self._change(name)

    def _configsvc_undo(self, position: int) -> dict[str, Any]:
        return {"command": "config:set hello A=***" if position == 17 else ""} | self._change("hello")

    def _builder_clean_up(self) -> list[dict[str, Any]]:
        return [{"app": "hello", "image": "sha256:" + "1" * 64, "kind": "app", "size": 3 << 20}]

    def _builder_disk(self) -> dict[str, Any]:
        images, blobs = {"hello": 3 << 20}, {"hello": 1024, "(no app)": 5}
        return {"images": images, "blobs": blobs, "caches": self.caches}

    def _deployer_disk(self) -> dict[str, Any]:
        return {"logs": {"hello": 0}}

    def _gitreceiver_disk(self) -> dict[str, Any]:
        return {"repository": {"hello": 1024, "old (destroyed)": 7}, "room": {"database": 2048, "free": 4 << 30}}

    def _deployer_processes(self, name: str) -> list[dict[str, Any]]:
        return list(self._app(name)["processes"])

    def _deployer_logs(self, name: str, lines: int | None, process: str | None, since: str | None) -> dict[str, Any]:
        self._app(name)
        batch = self.log_batches.pop(0) if self.log_batches else []
        return {"lines": batch, "cursor": f"after {len(self.calls)}"}

    def _builder_builds(self, name: str) -> list[dict[str, Any]]:
        return list(self._app(name)["builds"])

    def _builder_build_output(self, name: str, build: str | None) -> dict[str, str]:
        self._app(name)
        return {"text": f"output of {build or 'the latest'}\n"}

    def _gitreceiver_list_keys(self) -> list[dict[str, str]]:
        return [{"name": name, "fingerprint": f"SHA256:{name}", "added": "t"} for name in sorted(self.keys)]

    def _gitreceiver_add_key(self, name: str, public_key: str) -> dict[str, str]:
        names.key_name(name)
        self.keys[name] = public_key
        return {"name": name, "fingerprint": f"SHA256:{name}"}

    def _gitreceiver_remove_key(self, name: str | None, fingerprint: str | None) -> dict[str, str]:
        gone = name or str(fingerprint).removeprefix("SHA256:")
        if self.keys.pop(gone, None) is None:
            raise Refused(f"key: there is no key {gone}")
        return {"name": gone}
