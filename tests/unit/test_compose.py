"""docker-compose.yml and the Dockerfile that it builds, as text."""

import re
from pathlib import Path
from typing import Any

import yaml

from services.runner import SERVICES as NAMES
from services.settings import secret_files, variables

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
LASTING = {name: service for name, service in SERVICES.items() if name != "setup"}


def mounting(what: str) -> set[str]:
    """The services that mount a volume or a path of the host."""
    return {name for name, service in SERVICES.items() if any(v.split(":")[0] == what for v in service["volumes"])}


def test_every_service_has_a_container_beside_the_broker_the_database_and_the_setup():
    assert set(SERVICES) == {*NAMES, "rabbitmq", "postgres", "setup"}
    assert {SERVICES[name]["command"][-1] for name in NAMES} == set(NAMES)


def test_every_service_is_checked_and_comes_back():
    assert all(service["restart"] == "unless-stopped" and service["healthcheck"] for service in LASTING.values())


def test_no_service_keeps_a_right_that_it_is_not_given():
    for service in SERVICES.values():
        assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service


def test_only_builder_and_deployer_have_the_docker_socket():
    assert mounting("/var/run/docker.sock") == {"builder", "deployer"}
    assert mounting("/etc/ssl/certs") == {"builder"}


def test_secrets_are_only_where_they_are_needed():
    assert mounting("master-key") == {"setup", "gitreceiver", "builder", "deployer"}
    assert mounting("broker-url") == {"setup", *NAMES}
    assert mounting("broker-user") == {"setup", "rabbitmq"}
    assert mounting("database") == {"postgres"}


def test_the_files_hold_no_secret():
    texts = [path.read_text() for path in (ROOT / "compose").iterdir() if path.is_file()]
    for text in (COMPOSE, DOCKERFILE, *texts):
        assert not re.search(r"(password|secret|key)\w*\s*[=:]\s*['\"]?[\w-]{8,}['\"]?\s*$", text, re.I | re.M)
        assert not re.search(r"://[^\s/@]+:[^\s/@{]+@", text)


def test_nothing_but_the_door_is_published_beyond_the_machine():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"gitreceiver", "rabbitmq"}
    assert all(port.startswith("127.0.0.1:") for port in published["rabbitmq"])
    assert SERVICES["postgres"]["network_mode"] == "none"


def test_what_may_run_more_than_once_has_no_name_and_no_port():
    for name in ("builder", "configsvc", "deployer"):
        assert not {"container_name", "ports", "hostname"} & set(SERVICES[name])


def test_every_image_rests_on_the_base_that_bootstrap_makes():
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert stages[0] == ("debian:bookworm-slim", "base")
    assert {source for source, _ in stages[1:]} == {"base"}
    built = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert built == {name for _, name in stages[1:]}


def test_every_setting_that_it_names_exists():
    assert set(re.findall(r"PUSHLOG_[A-Z_]+", COMPOSE)) <= {*variables(), *secret_files()}


def test_every_setting_but_those_of_the_stack_itself_can_be_given():
    own = {"HOME", "SSH_BIND", "BROKER_URL", "LOG_URL", "LOG_OWNER_URL", "MASTER_KEY", "NGINX", "HEALTH_PORT"}
    own |= {"HEALTH_BIND", "HEALTH_SOCKET", "BUILD_HTTP_PROXY", "BUILD_HTTPS_PROXY", "BUILD_NO_PROXY"}
    given = set(re.findall(r"^  (PUSHLOG_[A-Z_]+):$|\$\{(PUSHLOG_[A-Z_]+)", COMPOSE, re.MULTILINE))
    assert {name for pair in given for name in pair if name} == set(variables()) - {f"PUSHLOG_{name}" for name in own}
