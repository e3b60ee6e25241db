"""docker-compose.yml and the Dockerfile that it builds, as text."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]


def test_every_service_is_checked_and_comes_back():
    assert all(service["restart"] == "unless-stopped" and "healthcheck" in service for service in SERVICES.values())


def test_the_file_holds_no_secret():
    assert not re.search(r"password|secret|key", COMPOSE, re.IGNORECASE)


def test_the_image_rests_on_the_base_that_bootstrap_makes():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^FROM (.*)$", dockerfile, re.MULTILINE) == ["debian:bookworm-slim"]


def test_every_setting_that_it_names_exists():
    from services.settings import variables

    assert set(re.findall(r"PUSHLOG_[A-Z_]+", COMPOSE)) <= set(variables())
