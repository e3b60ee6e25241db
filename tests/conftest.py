"""Shows, before pytest's last line, how long each kind of test took, and the checks that script/test ran before."""

import os
import re
import signal
from collections import defaultdict
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.rabbitmq"]

SECONDS: defaultdict[str, float] = defaultdict(float)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the modes in which tests/e2e runs."""
    parser.addoption(
        "--mode",
        action="append",
        choices=["embedded", "cluster"],
        help="run the end-to-end tests on one process (the default), or on one process per service; may be given twice",
    )


def pytest_configure() -> None:
    """Has SIGTERM end the run as Ctrl-C does: instances, containers and servers of the tests are taken down."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("told to end", returncode=143))


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Gives the next test the umask that this one had: the platform sets its own where a test runs it."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Adds a phase of a test to its kind: the folder of tests/ that it stands in, or the mode cluster."""
    cluster = re.search(r"[\[-]cluster[]-]", report.nodeid)
    SECONDS["cluster" if cluster else report.nodeid.split("/")[1]] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Writes one line per check and kind: its name, its seconds, and for a check whether it passed."""
    checked = [line.split() for line in os.environ.get("CHECKED", "").splitlines()]
    if not checked and len(SECONDS) < 2:
        return
    terminalreporter.section("seconds of each kind")
    for name, seconds, result in [*checked, *((kind, f"{spent:.1f}", "") for kind, spent in SECONDS.items())]:
        terminalreporter.write_line(f"{name:<12}{seconds:>7}  {result}".rstrip())
