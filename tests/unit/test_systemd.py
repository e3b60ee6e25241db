"""The systemd unit that starts Pushlog at boot. systemd itself need not run: what it is told is written down."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from services import systemd
from services.errors import BadInput, Refused, Unavailable
from services.settings import Settings, load
from services.systemd import Unit

SECRET = """a "quoted" $HOME `id` \\ 'word' = # %h"""


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unit:
    """A unit of the user who asks, whose configuration is the test's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Unit(Settings(home=tmp_path / "home", instance="shop"), user=True)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What systemctl was told, on a machine that seems to run systemd."""
    program, record = tmp_path / "bin" / "systemctl", tmp_path / "told"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >> {record}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(systemd, "BOOTED", tmp_path)
    return lambda: record.read_text().splitlines() if record.exists() else []


def test_a_unit_is_named_after_the_instance_and_the_service() -> None:
    assert Unit(Settings()).name == "pushlog.service"
    assert Unit(Settings(instance="shop")).name == "pushlog-shop.service"
    assert Unit(Settings(instance="shop"), service="builder").name == "pushlog-shop.builder.service"
    assert Unit(Settings()).path == Path("/etc/systemd/system/pushlog.service")


def test_a_unit_leaves_nginx_running_and_comes_back_unless_it_was_told_to_end(unit: Unit) -> None:
    lines = unit.text.splitlines()
    assert {"KillMode=process", "Restart=always", "RestartPreventExitStatus=0"} <= set(lines)
    assert next(line for line in lines if line.startswith("ExecStart=")).endswith(" up")
    assert " service builder\n" in Unit(unit.settings, service="builder").text


def test_when_memory_is_short_the_systems_unit_is_spared_and_a_users_own_starts_at_all(unit: Unit) -> None:
    assert "OOMScoreAdjust=-500\n" in Unit(unit.settings).text
    assert "OOMScoreAdjust" not in unit.text  # a user's systemd may not lower it, and would not start the unit


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("user", [True, False])
@pytest.mark.parametrize("service", ["", "router"])
def test_systemd_finds_nothing_amiss_with_a_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: bool, service: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    unit = Unit(Settings(instance="shop-of-tests"), user, service)
    path = tmp_path / unit.name
    path.write_text(unit.text)
    argv = ["systemd-analyze", "verify", *(["--user"] if user else []), str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_installing_writes_unit_and_variables_and_doing_so_again_changes_nothing(
    unit: Unit, told: Callable[[], list[str]]
) -> None:
    environ = {"PUSHLOG_DOMAIN": "example.org", "PATH": "/bin", "DOCKER_HOST": "unix:///d.sock", "AWS_SECRET": "x"}
    said: list[str] = []
    systemd.install(unit, environ, said.append)
    before = unit.path.read_text(), unit.environment.read_text()
    systemd.install(unit, environ, said.append)
    assert (unit.path.read_text(), unit.environment.read_text()) == before
    assert before[1].splitlines() == [
        'DOCKER_HOST="unix:///d.sock"',
        'PUSHLOG_DOMAIN="example.org"',
        f'PUSHLOG_HOME="{unit.settings.home}"',
        'PUSHLOG_INSTANCE="shop"',
    ]
    assert f"EnvironmentFile={unit.environment}\n" in before[0]
    assert unit.environment.stat().st_mode & 0o777 == 0o600
    assert told() == ["--user daemon-reload", "--user enable pushlog-shop.service"] * 2
    assert said[0] == (
        "-----> pushlog-shop.service starts at boot; start it now with: systemctl --user start pushlog-shop.service"
    )


def test_uninstalling_removes_both_and_doing_so_again_is_no_error(unit: Unit, told: Callable[[], list[str]]) -> None:
    systemd.install(unit, {}, lambda _: None)
    said: list[str] = []
    systemd.uninstall(unit, said.append)
    systemd.uninstall(unit, said.append)
    assert not unit.path.exists()
    assert not unit.environment.exists()
    assert told()[2:] == ["--user disable --now pushlog-shop.service", "--user daemon-reload"]
    assert said == [
        "-----> pushlog-shop.service is removed; apps keep serving",
        "-----> There is no pushlog-shop.service",
    ]


def test_what_systemctl_refuses_is_told(unit: Unit, told: Callable[[], list[str]], tmp_path: Path) -> None:
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\necho 'Unit is masked.' >&2\nexit 1\n")
    with pytest.raises(Unavailable, match=r"^systemctl --user daemon-reload: Unit is masked\.$"):
        systemd.install(unit, {}, lambda _: None)


def test_without_systemd_nothing_is_written(unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "BOOTED", tmp_path / "none")
    for change in (lambda: systemd.install(unit, {}, print), lambda: systemd.uninstall(unit, print)):
        with pytest.raises(Refused, match="systemd does not run on this machine"):
            change()
    assert not unit.path.exists()


def test_a_variable_arrives_as_it_was(unit: Unit, tmp_path: Path) -> None:
    text = systemd.variables({"PUSHLOG_BROKER_URL": SECRET}, unit.settings)
    (tmp_path / "env").write_text(text)  # systemd reads such a file as a shell would
    show = '. "$1"; printf %s "$PUSHLOG_BROKER_URL"'
    done = subprocess.run(["sh", "-c", show, "sh", str(tmp_path / "env")], capture_output=True, text=True, check=True)
    assert done.stdout == SECRET


def test_a_variable_of_two_lines_is_refused(unit: Unit) -> None:
    with pytest.raises(BadInput, match=r"^PUSHLOG_DOMAIN: "):
        systemd.variables({"PUSHLOG_DOMAIN": "a\nEVIL=1"}, unit.settings)


def test_a_configuration_file_is_named_by_its_whole_path(unit: Unit, tmp_path: Path) -> None:
    text = systemd.variables({"PUSHLOG_CONFIG": "my.toml"}, unit.settings)
    assert f'PUSHLOG_CONFIG="{Path.cwd()}/my.toml"\n' in text


def test_the_default_home_is_written_down(tmp_path: Path) -> None:
    settings = load({"PUSHLOG_HOME": str(tmp_path)})
    assert f'PUSHLOG_HOME="{tmp_path}"\n' in systemd.variables({}, settings)
