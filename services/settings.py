"""Every setting, declared once: its type, its default, a line of help, and whether it is secret.

Values come from `PUSHLOG_*` environment variables, else from a TOML file (`PUSHLOG_CONFIG`, by default
`pushlog.toml` in the home). A secret may stand in a file that `PUSHLOG_*_FILE` names, as Docker's and systemd's secrets
do. An unknown or bad one is an error, so that a typing mistake never passes for a default.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from services import names
from services.errors import BadInput

PREFIX = "PUSHLOG_"
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[float, Field(gt=0)]
Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[mg]$")]
Bytes = Annotated[int, BeforeValidator(lambda value: _bytes(value)), Field(ge=1, json_schema_extra={"unit": "byte"})]
InstanceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]


def default_home() -> Path:
    """`/var/lib/pushlog` for root, else `~/.local/share/pushlog`."""
    return Path("/var/lib/pushlog") if os.geteuid() == 0 else Path.home() / ".local/share/pushlog"


def _home(value: Path) -> Path:
    # a "?" would begin the query of the log's URL: two homes would share one log
    if not value.is_absolute() or not str(value).isprintable() or "?" in str(value):
        raise BadInput(f"home: {names.shown(str(value))} cannot be a home; allowed are absolute paths without '?'")
    return value


def _domain(value: str) -> str:
    if value.startswith("*."):
        raise BadInput(f"domain: {names.shown(value)} is a wildcard; allowed are host names")
    return names.host(value)


def _subnet(value: str) -> str:
    try:
        small = ipaddress.IPv4Network(value).prefixlen > 27
    except ValueError as error:
        raise BadInput(f"subnet: {error}; allowed are networks such as 10.77.0.0/20") from None
    if small:
        raise BadInput(f"subnet: {value} is too small for apps; allowed are networks of /27 or more, as 10.77.0.0/20")
    return value


def _listed(value: object) -> object:
    """The parts of a text with commas, as an environment variable has them; a list of the TOML file as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _bytes(value: object) -> object:
    """The bytes of a size, such as 4g; anything else as it is."""
    size = re.fullmatch(r"([1-9][0-9]{0,9})([mg])", value) if isinstance(value, str) else None
    return int(size[1]) << {"m": 20, "g": 30}[size[2]] if size else value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        try:
            network = ipaddress.ip_network("no zones" if "%" in text else text)
        except ValueError:
            network = None
        if network is None or network.prefixlen == 0:
            raise BadInput(
                f"trusted_proxies: {names.shown(text)} is not an address or a network; use 10.0.0.7 or 10.0.0.0/24"
            )
    return tuple(str(ipaddress.ip_network(text)) for text in value)


def _broker_url(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("inprocess://", "amqp://", "amqps://")):
        raise BadInput("broker_url: not the URL of a bus; allowed are inprocess://localhost, amqp://… and amqps://…")
    return value


def _log_url(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        raise BadInput(
            "log_url: not the URL of a log; allowed are sqlite:///FILE and postgresql://user:password@host/db"
        )
    return value


def _master_key(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value.get_secret_value()):
        raise BadInput("master_key: not a master key; allowed are 64 hexadecimal digits")
    return value


LogUrl = Annotated[SecretStr, AfterValidator(_log_url)]


class Settings(BaseModel):
    """One instance's settings. Build it with `load`; the field names are the variables' without the prefix."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    home: Annotated[Path, AfterValidator(_home)] = Field(
        default_factory=default_home, description="Where the instance keeps everything it owns."
    )
    instance: InstanceName = Field("pushlog", description="The instance's name; labels all that it makes in Docker.")
    domain: Annotated[str, AfterValidator(_domain)] = Field(
        "localhost", description="Apps are served at <app>.<domain>."
    )
    ssh_port: Port = Field(2222, description="The port of the SSH door.")
    ssh_bind: str = Field("", description="The address of the SSH door; empty: every address.")
    http_port: Port = Field(8080, description="The port of the router.")
    http_bind: str = Field("", description="The address of the router; empty: every address.")
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_networks)] = Field(
        (), description="Proxies before the router whose X-Forwarded-For and X-Forwarded-Proto are believed."
    )
    client_limit: Annotated[int, Field(ge=1, le=65536)] = Field(
        128, description="How many requests one address, or /64 of IPv6, may have open at the router."
    )
    health_port: Port | None = Field(None, description="The port of each process's /healthz; by default there is none.")
    health_bind: str = Field("127.0.0.1", description="The address of /healthz; empty: every address.")
    health_socket: Path | None = Field(
        None, description="A Unix socket of this process for /healthz, where the port could be another's."
    )
    broker_url: Annotated[SecretStr, AfterValidator(_broker_url)] = Field(
        SecretStr("inprocess://localhost"),
        description="The bus: inprocess://localhost or amqp://user:password@host/vhost.",
    )
    log_url: LogUrl | None = Field(
        None, description="The log's database, postgresql://user:password@host/db; by default SQLite in the home."
    )
    log_owner_url: LogUrl | None = Field(
        None, description="The same database as the role that owns the tables; only `pushlog prepare` takes it."
    )
    master_key: Annotated[SecretStr, AfterValidator(_master_key)] | None = Field(
        None, description="The key that seals all secrets, 64 hexadecimal digits; by default a file in the home."
    )
    subnet: Annotated[str, AfterValidator(_subnet)] | None = Field(
        None, description="The apps' network, such as 10.77.0.0/20; by default a free one."
    )
    stack_image: str = Field("pushlog/stack:bookworm", description="The image that apps are built from.")
    nginx: str = Field("nginx", description="The nginx program.")
    build_trust_host_ca: bool = Field(True, description="Builds trust the CA bundle that the host trusts.")
    build_http_proxy: str | None = Field(
        default_factory=lambda: os.environ.get("HTTP_PROXY") or os.environ.get("http_proxy"),
        description="HTTP proxy of builds; by default the host's HTTP_PROXY.",
    )
    build_https_proxy: str | None = Field(
        default_factory=lambda: os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"),
        description="HTTPS proxy of builds; by default the host's HTTPS_PROXY.",
    )
    build_no_proxy: str | None = Field(
        default_factory=lambda: os.environ.get("NO_PROXY") or os.environ.get("no_proxy"),
        description="Hosts that builds reach without a proxy; by default the host's NO_PROXY.",
    )
    build_memory: Memory = Field("2g", description="Memory limit of a build.")
    build_cpus: Positive = Field(2.0, description="CPU limit of a build, in cores.")
    build_pids: Annotated[int, Field(ge=16)] = Field(1024, description="Process limit of a build.")
    build_timeout: Positive = Field(1800.0, description="Time limit of a build, in seconds.")
    build_output_limit: Bytes = Field(16 * 1024 * 1024, description="How many bytes of a build's output are kept.")
    build_layer_limit: Memory = Field("4g", description="Size limit of what a build writes, beside its cache.")
    build_cache_limit: Memory = Field("2g", description="Size limit of an app's package cache between builds.")
    build_concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        3, description="How many builds run at once, one fewer of one key."
    )
    push_limit: Bytes = Field(500 * 1024 * 1024, description="Size limit of a pushed pack, in bytes.")
    app_limit: Bytes = Field(
        4 * 1024**3, description="How many bytes of git objects and build output one app may keep."
    )
    key_limit: Bytes = Field(
        16 * 1024**3, description="How many of these bytes all apps that one key created may keep."
    )
    file_limit: Bytes = Field(100 * 1024 * 1024, description="Size limit of one file in a pushed tree, in bytes.")
    tree_limit: Bytes = Field(1024 * 1024 * 1024, description="Size limit of a pushed tree, unpacked, in bytes.")
    app_pids: Annotated[int, Field(ge=16)] | None = Field(
        None, description="Process limit of an app's container; by default a 32nd of what the kernel has room for."
    )
    check_timeout: Positive = Field(60.0, description="Seconds in which a web process must accept TCP on its port.")
    check_uptime: Positive = Field(10.0, description="Seconds that a process without a port must stay up.")
    drain: Annotated[float, Field(ge=0)] = Field(
        10.0, description="Seconds that old containers may finish their requests before SIGTERM."
    )
    stop_timeout: Annotated[float, Field(ge=0)] = Field(30.0, description="Seconds between SIGTERM and SIGKILL.")
    lease: Annotated[float, Field(ge=1, le=20)] = Field(
        20.0, description="Seconds after which a silent holder of work is given up."
    )
    destroy_grace: Annotated[float, Field(ge=0)] = Field(
        86400.0, description="Seconds in which a destroyed app can be had back with log:undo."
    )
    body_limit: Memory = Field("1m", description="Size limit of a request's body.")

    @property
    def alone(self) -> bool:
        """Whether no other process shares the log: SQLite's belongs to the one that holds the home."""
        return self.database.startswith("sqlite:")

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the log."""
        return self.log_url.get_secret_value() if self.log_url else f"sqlite:///{self.home / 'log.sqlite'}"


def variables() -> dict[str, str]:
    """The name of each environment variable, and the field it sets."""
    return {PREFIX + field.upper(): field for field in Settings.model_fields}


def secret_files() -> dict[str, str]:
    """The name of each environment variable that names a secret's file, and the field it sets."""
    fields = Settings.model_fields.items()
    return {f"{PREFIX}{field.upper()}_FILE": field for field, info in fields if "SecretStr" in repr(info.annotation)}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings from `environ` (the process's own, if None) over the TOML file.

    Raises BadInput, naming the setting, for an unknown, missing or bad one; a secret's value is not in the sentence.
    """
    environ = os.environ if environ is None else environ
    known, files = variables(), secret_files()
    unknown = sorted({k for k in environ if k.startswith(PREFIX)} - {*known, *files, PREFIX + "CONFIG"})
    if unknown:
        raise BadInput(f"{unknown[0]}: there is no such setting; allowed are {', '.join(sorted(known))}")
    given = {field: environ[name] for name, field in known.items() if name in environ}
    for name in files.keys() & environ.keys():
        given[files[name]] = _secret(name, environ[name], given, files[name])
    home = Path(given.get("home") or default_home())
    named = environ.get(PREFIX + "CONFIG")
    values = {**_from_file(Path(named) if named else home / "pushlog.toml", required=named is not None), **given}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        own = first.get("ctx", {}).get("error")
        field = str(first["loc"][0])
        reason = str(own).partition(": ")[2] if isinstance(own, BadInput) else _misfit(field, values.get(field))
        raise BadInput(f"{PREFIX}{field.upper()}: {reason or first['msg']}") from None


def takes(field: str) -> str:
    """What values a setting takes, in words."""
    schema = Settings.model_json_schema()["properties"][field]
    known = next((part for part in schema.get("anyOf", []) if part["type"] != "null"), schema)
    if known["type"] == "string":
        words = {"path": "path", "password": "text, secret"}
        return words.get(known.get("format", ""), "size" if "[mg]" in known.get("pattern", "") else "text")
    if known["type"] == "array":
        return "list, with commas"
    if known["type"] == "boolean":
        return "`true` or `false`"
    if known.get("unit") == "byte":
        return "size, or number of bytes"
    word = "whole number" if known["type"] == "integer" else "number"
    least, above, most = known.get("minimum"), known.get("exclusiveMinimum"), known.get("maximum")
    if least is not None and most is not None:
        return f"{word}, {least:g} to {most:g}"
    return f"{word}, {least:g} or more" if least is not None else f"{word} above {above:g}"


def _misfit(field: str, value: object) -> str:
    """Why a size or number is refused; empty for others, which may be secret."""
    kind, default = takes(field), Settings.model_fields[field].default
    if not kind.startswith(("size", "whole number", "number")):
        return ""
    example = f"; use {default:g}" if isinstance(default, float) else f"; use {default}"
    return f"{names.shown(str(value))} is not a {kind}" + (example if default is not None else "")


def _secret(variable: str, path: str, given: Mapping[str, str], field: str) -> str:
    """A secret's value from its file, without the end of its line."""
    if field in given:
        raise BadInput(f"{variable}: {variable.removesuffix('_FILE')} is set as well; allowed is one of the two")
    try:
        return Path(path).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{variable}: {names.shown(path)}: {error}; allowed is the path of a text file") from None


def _from_file(path: Path, *, required: bool) -> dict[str, Any]:
    """The file's settings by field name; none when an unnamed file is not there."""
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        if required:
            raise BadInput(f"{PREFIX}CONFIG: {names.shown(str(path))} is not there; allowed is a TOML file") from None
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"{PREFIX}CONFIG: {names.shown(str(path))}: {why}; allowed is a TOML file") from None
    if unknown := sorted(set(values) - set(Settings.model_fields)):
        raise BadInput(
            f"{names.shown(unknown[0])}: there is no such setting in {path}; allowed are "
            f"{', '.join(sorted(Settings.model_fields))}"
        )
    return values
