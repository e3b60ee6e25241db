"""The commands about the platform's own processes, as far as they refuse to begin."""

from pathlib import Path

import pytest

from services import runner

POSTGRES = "postgresql://u:secret@host/db"


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, *argv: str, **settings: str
) -> str:
    for name, value in {"HOME": str(folder), **settings}.items():
        monkeypatch.setenv(f"PUSHLOG_{name}", value)
    assert runner.main(argv) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


@pytest.fixture
def refuse(monkeypatch, capsys, tmp_path):
    return lambda *argv, **settings: refused(monkeypatch, capsys, tmp_path, *argv, **settings)


def test_a_service_of_its_own_needs_postgresql(refuse):
    said = refuse("service", "builder", BROKER_URL="amqp://u:p@host")
    assert said == (
        " !     PUSHLOG_LOG_URL: services in processes of their own share a log; allowed is postgresql://…\n"
    )


def test_a_service_of_its_own_needs_a_broker(refuse):
    said = refuse("service", "builder", LOG_URL=POSTGRES)
    assert said == (
        " !     PUSHLOG_BROKER_URL: services in processes of their own need a broker; allowed is amqp://…\n"
    )


def test_a_service_that_is_none_is_refused_with_those_that_are(refuse):
    said = refuse("service", "nginx", LOG_URL=POSTGRES)
    assert all(name in said for name in ("'nginx'", *runner.SERVICES))


@pytest.mark.parametrize("given", ["LOG_URL", "LOG_OWNER_URL"])
def test_preparing_a_database_needs_its_owner_and_its_user(refuse, given):
    assert "PUSHLOG_LOG_OWNER_URL and PUSHLOG_LOG_URL: not both set" in refuse("prepare", **{given: POSTGRES})


def test_a_missing_word_is_said_in_one_line(refuse):
    said = refuse("service")
    assert said.startswith(" !     Missing argument 'NAME'")
    assert said.count("\n") == 1
