"""The systemd unit that starts an instance, or one of its services, at boot: `pushlog install-service`."""

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from services import files, oom
from services.errors import BadInput, Refused, Unavailable
from services.settings import PREFIX, Settings

TIMEOUT = 60
BOOTED = Path("/run/systemd/system")
CARRIED = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""What else than PUSHLOG_… is kept of the environment: what the settings' defaults and Docker's client look at."""

# Nothing that needs a mount namespace of the unit's own: nginx outlives the process, and must see what the next sees.
TEMPLATE = """\
# Made by `pushlog install-service`; run it again after a change of PUSHLOG_… variables or of where Pushlog lies.
[Unit]
Description=Pushlog {what}
After=network-online.target docker.service
Wants=network-online.target{docker}
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile={environment}
ExecStart={command}
Restart=always
# `pushlog down` is a deliberate end, and so is `systemctl stop`
RestartPreventExitStatus=0
RestartSec=2
TimeoutStopSec=60
# nginx goes on serving, and the next start takes it over
KillMode=process
OOMPolicy=continue
{oom}LimitNOFILE=65536
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy={target}
"""


@dataclass(frozen=True)
class Unit:
    """One instance's unit, or with `service` that of one of its services; of the system or of the user who asks."""

    settings: Settings
    user: bool = False
    service: str = ""

    @property
    def name(self) -> str:
        """`pushlog.service` for the instance of that name, `pushlog-shop.builder.service` for the builder of `shop`."""
        instance = self.settings.instance
        base = "pushlog" if instance == "pushlog" else f"pushlog-{instance}"
        return f"{base}.{self.service}.service" if self.service else f"{base}.service"

    @property
    def path(self) -> Path:
        """Where it stands."""
        return (_config_home() / "systemd/user" if self.user else Path("/etc/systemd/system")) / self.name

    @property
    def environment(self) -> Path:
        """The file of its variables, for its user alone: there may be secrets in it."""
        folder = _config_home() / "pushlog" if self.user else Path("/etc/pushlog")
        return folder / self.name.replace(".service", ".env")

    @property
    def text(self) -> str:
        """The unit."""
        of = f"instance {self.settings.instance}"
        return TEMPLATE.format(
            oom="" if self.user else f"OOMScoreAdjust={oom.PLATFORM}\n",  # only root may
            what=f"{self.service} of {of}" if self.service else of,
            docker="" if self.user else " docker.service",
            environment=_escaped(str(self.environment)),
            command=" ".join(map(_word, [*_program(), *(["service", self.service] if self.service else ["up"])])),
            target="default.target" if self.user else "multi-user.target",
        )


def install(unit: Unit, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Write the unit and its variables, and have systemd start it at boot; doing so again changes nothing.

    Raises Refused where systemd does not run, Unavailable when it does not take the unit.
    """
    variables_ = variables(environ, unit.settings)
    _check_systemd(unit)
    for path, text, mode in ((unit.environment, variables_, 0o600), (unit.path, unit.text, 0o644)):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, text.encode(), mode)
        path.chmod(mode)  # whatever the umask is
    _systemctl(unit, "daemon-reload")
    _systemctl(unit, "enable", unit.name)
    flag = " --user" if unit.user else ""
    say(f"-----> {unit.name} starts at boot; start it now with: systemctl{flag} start {unit.name}")
    if unit.user:
        say(f"       At boot rather than at login, once this was run: loginctl enable-linger {_user()}")


def uninstall(unit: Unit, say: Callable[[str], None]) -> None:
    """Stop the unit and remove it with its variables; apps keep serving. Without one, nothing is done."""
    _check_systemd(unit)
    if not unit.path.exists():
        say(f"-----> There is no {unit.name}")
        return
    _systemctl(unit, "disable", "--now", unit.name)
    unit.path.unlink()
    unit.environment.unlink(missing_ok=True)
    _systemctl(unit, "daemon-reload")
    say(f"-----> {unit.name} is removed; apps keep serving")


def variables(environ: Mapping[str, str], settings: Settings) -> str:
    """The text of the EnvironmentFile. Raises BadInput for a value that no line can hold."""
    known = {name: value for name, value in environ.items() if name.startswith(PREFIX) or name.upper() in CARRIED}
    known |= {f"{PREFIX}HOME": str(settings.home), f"{PREFIX}INSTANCE": settings.instance}
    if config := known.get(f"{PREFIX}CONFIG"):
        known[f"{PREFIX}CONFIG"] = str(Path(config).resolve())
    for name, value in known.items():
        if not value.isprintable():
            raise BadInput(f"{name}: it cannot stand in a unit's environment; allowed are printable characters")
    return "".join(f'{name}="{_quoted(value)}"\n' for name, value in sorted(known.items()))


def _quoted(value: str) -> str:
    for special in ("\\", '"', "`", "$"):
        value = value.replace(special, "\\" + special)
    return value


def _word(word: str) -> str:
    """A word of a command line in a unit."""
    if re.fullmatch(r"[\w@/.:+,-]+", word):
        return word
    return '"' + _escaped(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'


def _escaped(text: str) -> str:
    """Text in which systemd replaces nothing."""
    return text.replace("%", "%%")


def _program() -> list[str]:
    """How Pushlog is started: the command beside this Python, else by its module."""
    script = Path(sys.executable).with_name("pushlog")
    return [str(script)] if script.exists() else [sys.executable, "-m", "cli.client"]


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _check_systemd(unit: Unit) -> None:
    if not BOOTED.is_dir() or shutil.which("systemctl") is None:
        raise Refused(
            "systemd does not run on this machine, so nothing was changed. "
            "Have your init system run `pushlog up`; `pushlog install-service --print` shows what a unit would say"
        )
    if not unit.user and os.geteuid() != 0:
        raise Refused("only root can change the system's units; use --user for a unit of your own")


def _systemctl(unit: Unit, *words: str) -> None:
    argv = ["systemctl", *(["--user"] if unit.user else []), *words]
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(argv)}: {error.stderr.strip()}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(argv)}: it did not end within {TIMEOUT} s") from None
