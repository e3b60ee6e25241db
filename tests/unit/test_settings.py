"""Settings: read once, each checked, no mistake taken for a default, no secret said."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.errors import BadInput
from services.names import shown
from services.settings import Settings, default_home, load, secret_files, variables

SECRET = "hunter2-hunter2"


def refused(environ: dict[str, str]) -> str:
    """The sentence that settings are refused with."""
    with pytest.raises(BadInput) as error:
        load(environ)
    said = str(error.value)
    assert said.isprintable()
    return said


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"PUSHLOG_HOME": str(tmp_path)}


def test_without_any_setting_the_defaults_hold(home: dict[str, str], tmp_path: Path) -> None:
    settings = load(home)
    assert settings.home == tmp_path
    assert (settings.instance, settings.domain, settings.ssh_port, settings.http_port) == (
        "pushlog",
        "localhost",
        2222,
        8080,
    )
    assert settings.database == f"sqlite:///{tmp_path}/log.sqlite"
    assert settings.master_key is None
    assert settings.lease <= 20


def test_the_home_is_the_systems_for_root_and_the_users_own_for_others() -> None:
    expected = Path("/var/lib/pushlog") if os.geteuid() == 0 else Path.home() / ".local/share/pushlog"
    assert default_home() == expected


def test_each_setting_has_a_line_of_help_and_a_variable() -> None:
    for variable, field in variables().items():
        assert variable == f"PUSHLOG_{field.upper()}"
        assert (Settings.model_fields[field].description or "").endswith(".")


def test_the_environment_goes_over_the_file(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pushlog.toml").write_text("ssh_port = 1022\nhttp_port = 1080\nbuild_trust_host_ca = false\n")
    settings = load({**home, "PUSHLOG_HTTP_PORT": "2080"})
    assert (settings.ssh_port, settings.http_port, settings.build_trust_host_ca) == (1022, 2080, False)


def test_trusted_proxies_are_a_list_with_commas_or_one_of_the_file(home: dict[str, str], tmp_path: Path) -> None:
    told = ("10.0.0.7/32", "fd00::/8")
    assert load({**home, "PUSHLOG_TRUSTED_PROXIES": " 10.0.0.7,fd00::/8, "}).trusted_proxies == told
    (tmp_path / "pushlog.toml").write_text('trusted_proxies = ["10.0.0.7", "fd00::/8"]\n')
    assert load(home).trusted_proxies == told
    assert load({**home, "PUSHLOG_TRUSTED_PROXIES": ""}).trusted_proxies == ()
    assert refused({**home, "PUSHLOG_TRUSTED_PROXIES": "10.0.0.7,a b"}) == (
        'PUSHLOG_TRUSTED_PROXIES: "a b" is not an address or a network; use 10.0.0.7 or 10.0.0.0/24'
    )


def test_the_file_may_stand_elsewhere_and_name_the_home(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text(f'home = "{tmp_path}/there"\ninstance = "second"\n')
    settings = load({"PUSHLOG_CONFIG": str(file)})
    assert (settings.home, settings.instance) == (tmp_path / "there", "second")


def test_variables_of_others_are_passed_over(home: dict[str, str]) -> None:
    assert load({**home, "PATH": "/bin", "PUSHLOGGER": "x", "XPUSHLOG_HOME": "y"}) == load(home)


def test_an_unknown_setting_is_refused_naming_those_there_are(home: dict[str, str], tmp_path: Path) -> None:
    said = refused({**home, "PUSHLOG_SSH_PROT": "22"})
    assert said.startswith("PUSHLOG_SSH_PROT: there is no such setting; allowed are ")
    assert "PUSHLOG_SSH_PORT" in said
    (tmp_path / "pushlog.toml").write_text("ssh_prot = 22\n")
    said = refused(home)
    assert said.startswith('"ssh_prot": there is no such setting in ')
    assert "ssh_port" in said


@pytest.mark.parametrize("key", ["SSH_PORT", "pushlog_ssh_port", '"a\\nb"'])
def test_the_file_knows_settings_by_one_spelling(home: dict[str, str], tmp_path: Path, key: str) -> None:
    (tmp_path / "pushlog.toml").write_text(f"{key} = 22\n")
    refused(home)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HOME", "relative"),
        ("HOME", ""),
        ("HOME", "/a?b"),
        ("HOME", "/a\nb"),
        ("INSTANCE", ""),
        ("INSTANCE", "A"),
        ("INSTANCE", "-a"),
        ("INSTANCE", "a;id"),
        ("INSTANCE", "a\n"),
        ("INSTANCE", "a" * 33),
        ("DOMAIN", ""),
        ("DOMAIN", "*.example.org"),
        ("DOMAIN", "a.com; } server {"),
        ("DOMAIN", "http://a.com"),
        ("DOMAIN", "127.0.0.1"),
        ("SSH_PORT", "0"),
        ("SSH_PORT", "65536"),
        ("SSH_PORT", "-1"),
        ("SSH_PORT", "ssh"),
        ("SSH_PORT", ""),
        ("HTTP_PORT", "80.5"),
        ("SUBNET", "10.0.0.0"),
        ("SUBNET", "10.0.0.0/28"),
        ("SUBNET", "10.0.0.1/20"),
        ("SUBNET", "10.0.0.0/33"),
        ("SUBNET", "fd00::/64"),
        ("BROKER_URL", "redis://u:hunter2-hunter2@host"),
        ("BROKER_URL", ""),
        ("MASTER_KEY", "hunter2-hunter2"),
        ("MASTER_KEY", "0" * 63),
        ("MASTER_KEY", "0" * 64 + "\n"),
        ("BUILD_TRUST_HOST_CA", "maybe"),
        ("BUILD_MEMORY", "2"),
        ("BUILD_MEMORY", "0m"),
        ("BUILD_MEMORY", "2G"),
        ("BUILD_MEMORY", "2g\n"),
        ("BUILD_CPUS", "0"),
        ("BUILD_CPUS", "nan"),
        ("BUILD_CPUS", "inf"),
        ("BUILD_TIMEOUT", "inf"),
        ("DRAIN", "-1"),
        ("DRAIN", "nan"),
        ("LEASE", "21"),
        ("LEASE", "0"),
        ("BUILD_CONCURRENCY", "0"),
        ("PUSH_LIMIT", "0"),
        ("BODY_LIMIT", "1m; } server {"),
        ("CLIENT_LIMIT", "0"),
        ("TRUSTED_PROXIES", "proxy.example.com"),
        ("TRUSTED_PROXIES", "10.0.0.1, 10.0.0.1/8"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "fe80::1%eth0"),
        ("TRUSTED_PROXIES", "10.0.0.1; }"),
    ],
)
def test_a_bad_value_is_refused_naming_its_setting_and_not_saying_a_secret(
    home: dict[str, str], variable: str, value: str
) -> None:
    said = refused({**home, f"PUSHLOG_{variable}": value})
    assert said.startswith(f"PUSHLOG_{variable}: ")
    assert "Value error" not in said
    assert SECRET not in said


def test_a_refused_value_says_what_is_allowed() -> None:
    assert refused({"PUSHLOG_HOME": "here"}) == (
        "PUSHLOG_HOME: \"here\" cannot be a home; allowed are absolute paths without '?'"
    )


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("APP_LIMIT", "200k", '"200k" is not a size, or number of bytes; use 4294967296'),
        ("BUILD_MEMORY", "2", '"2" is not a size; use 2g'),
        ("SSH_PORT", "ssh", '"ssh" is not a whole number, 1 to 65535; use 2222'),
        ("HEALTH_PORT", "0", '"0" is not a whole number, 1 to 65535'),
        ("DRAIN", "-1", '"-1" is not a number, 0 or more; use 10'),
    ],
)
def test_a_refused_number_or_size_is_shown_beside_one_that_is_taken(
    home: dict[str, str], variable: str, value: str, why: str
) -> None:
    assert refused({**home, f"PUSHLOG_{variable}": value}) == f"PUSHLOG_{variable}: {why}"


@pytest.mark.parametrize(("value", "count"), [("4096", 4096), ("512m", 512 << 20), ("4g", 4 << 30)])
def test_bytes_are_a_number_or_a_size(home: dict[str, str], tmp_path: Path, value: str, count: int) -> None:
    assert load({**home, "PUSHLOG_APP_LIMIT": value}).app_limit == count
    (tmp_path / "pushlog.toml").write_text(f'push_limit = "{value}"\n')
    assert load(home).push_limit == count


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DOMAIN", "apps.example.org"),
        ("SUBNET", "10.77.0.0/20"),
        ("BROKER_URL", "amqp://u:p@host/vhost"),
        ("BROKER_URL", "amqps://u:p@host/vhost"),
        ("LOG_URL", "postgresql+psycopg://u:p@host/db"),
        ("MASTER_KEY", "0123456789abcdef" * 4),
        ("BUILD_MEMORY", "512m"),
        ("DRAIN", "0"),
    ],
)
def test_a_good_value_is_taken_as_it_is(home: dict[str, str], variable: str, value: str) -> None:
    taken = getattr(load({**home, f"PUSHLOG_{variable}": value}), variable.lower())
    assert str(getattr(taken, "get_secret_value", lambda: taken)()).removesuffix(".0") == value


def test_secrets_are_not_in_what_settings_show(home: dict[str, str]) -> None:
    settings = load(
        {
            **home,
            "PUSHLOG_BROKER_URL": f"amqp://u:{SECRET}@host",
            "PUSHLOG_LOG_URL": f"postgresql://u:{SECRET}@host",
            "PUSHLOG_MASTER_KEY": "ab" * 32,
        }
    )
    for text in (repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()):
        assert SECRET not in text
        assert "ab" * 32 not in text
    assert settings.database == f"postgresql://u:{SECRET}@host"


def test_settings_do_not_change(home: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        load(home).ssh_port = 22


@pytest.mark.parametrize("content", [b"ssh_port = \n", b"ssh_port 22\n", b"\xff\xfe", b"ssh_port = 1\nssh_port = 2\n"])
def test_a_file_that_is_not_toml_is_refused(home: dict[str, str], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pushlog.toml").write_bytes(content)
    said = refused(home)
    assert said.startswith(f"PUSHLOG_CONFIG: {shown(str(tmp_path / 'pushlog.toml'))}: ")
    assert said.endswith("; allowed is a TOML file")


def test_a_named_file_that_is_not_there_or_a_folder_is_refused(home: dict[str, str], tmp_path: Path) -> None:
    assert refused({**home, "PUSHLOG_CONFIG": "/none/x.toml"}) == (
        'PUSHLOG_CONFIG: "/none/x.toml" is not there; allowed is a TOML file'
    )
    assert "Is a directory" in refused({**home, "PUSHLOG_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("value", ["[1]", "{a = 1}", "2222.5", '"x"'])
def test_a_value_of_another_kind_in_the_file_is_refused(home: dict[str, str], tmp_path: Path, value: str) -> None:
    (tmp_path / "pushlog.toml").write_text(f"ssh_port = {value}\n")
    assert refused(home).startswith("PUSHLOG_SSH_PORT: ")


def test_proxies_come_from_the_host_unless_they_are_set(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert load(home).build_http_proxy is None
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "localhost")
    settings = load(home)
    assert (settings.build_http_proxy, settings.build_https_proxy, settings.build_no_proxy) == (
        "http://proxy:3128",
        None,
        "localhost",
    )
    assert load({**home, "PUSHLOG_BUILD_HTTP_PROXY": "http://other"}).build_http_proxy == "http://other"


def test_a_secret_is_read_from_the_file_that_a_variable_names(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:p@host/db\n")
    settings = load({**home, "PUSHLOG_LOG_URL_FILE": str(tmp_path / "url")})
    assert (settings.database, settings.alone) == ("postgresql://u:p@host/db", False)


def test_only_secrets_have_files(home: dict[str, str]) -> None:
    assert refused({**home, "PUSHLOG_DOMAIN_FILE": "/x"}).startswith("PUSHLOG_DOMAIN_FILE: there is no such setting")
    assert set(secret_files()) == {
        "PUSHLOG_BROKER_URL_FILE",
        "PUSHLOG_LOG_URL_FILE",
        "PUSHLOG_LOG_OWNER_URL_FILE",
        "PUSHLOG_MASTER_KEY_FILE",
    }


def test_a_secrets_file_that_is_missing_or_bad_or_one_too_many_is_refused(home: dict[str, str], tmp_path: Path) -> None:
    name = "PUSHLOG_LOG_URL_FILE"
    assert refused({**home, name: str(tmp_path / "none")}).endswith("; allowed is the path of a text file")
    (tmp_path / "bad").write_text(f"mysql://u:{SECRET}@host")
    bad = refused({**home, name: str(tmp_path / "bad")})
    assert bad.startswith("PUSHLOG_LOG_URL: not the URL of a log; allowed are ")
    assert SECRET not in bad
    (tmp_path / "good").write_text("sqlite:////log")
    both = {**home, name: str(tmp_path / "good"), "PUSHLOG_LOG_URL": "sqlite:////log"}
    assert refused(both) == f"{name}: PUSHLOG_LOG_URL is set as well; allowed is one of the two"
