"""The platform's own log: harmless lines, a bounded amount, a file that is renewed."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from services import ownfile
from services.ownfile import KEPT, part
from services.ownlog import CLIENT_SHARE, CLIENTS, LONGEST, SHARE, TRACE_LINES, Lines, OwnLog, Prints, cut


def record(message: str, *args: object, line: int = 1, **more: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {
            "name": "asyncssh",
            "levelname": "WARNING",
            "levelno": 30,
            "msg": message,
            "args": args,
            "lineno": line,
            **more,
        }
    )


def failed(error: Exception) -> logging.LogRecord:
    try:
        raise error
    except Exception:
        return record("it failed", exc_info=sys.exc_info())


class Kept(OwnLog):
    """A log that keeps its lines."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(clock)
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        self.lines += text.split("\n")


FORGED = "aes\n2026-01-01 00:00:00,000 pushlog INFO ready\r\x1b]0;t\x07\u009b\u2028\u202e\x7f\udc80"


def test_what_a_record_quotes_is_on_its_one_line_without_control_characters() -> None:
    shown = Lines().format(record("client offers %s", FORGED))
    assert shown.isprintable()
    assert shown.endswith(
        r" asyncssh WARNING client offers aes\n2026-01-01 00:00:00,000 pushlog INFO ready\r\x1b]0;t\x07"
        r"\u009b\u2028\u202e\u007f\udc80"
    )


def test_a_trace_keeps_its_lines_and_none_of_them_reads_as_a_record() -> None:
    first, *trace = Lines().format(failed(ValueError(FORGED))).split("\n")
    assert first.endswith("it failed")
    assert any(line.startswith("    2026-01-01 00:00:00,000 pushlog INFO ready") for line in trace)
    assert all(line.startswith("    ") and line.isprintable() for line in trace)


def test_what_is_long_is_cut_and_says_how_long_it_was() -> None:
    assert cut("x" * LONGEST) == "x" * LONGEST
    assert cut("x" * 1_000_000) == "x" * LONGEST + "… (1000000 characters)"
    assert cut("\n" * LONGEST) == r"\n" * (LONGEST // 2) + f"… ({LONGEST} characters)"
    trace = Lines().format(failed(ValueError("line\n" * 500))).split("\n")
    assert len(trace) <= TRACE_LINES + 2
    assert [line for line in trace if line.startswith("    … (")]


def test_a_record_that_cannot_be_shown_ends_nothing() -> None:
    assert Lines().format(record("%d", "x")).endswith("'%d' (it cannot be shown: TypeError)")


def test_one_place_writes_so_much_a_minute_says_what_is_left_out_and_hides_no_other() -> None:
    now = [0.0]
    log = Kept(lambda: now[0])
    for _ in range(1000):
        log.handle(record("x" * 1000))
    assert SHARE < sum(map(len, log.lines)) < SHARE + 2000
    assert log.lines[-1] == "    (more of these are left out for up to 60 s)"
    log.handle(record("another place", line=2))
    assert log.lines[-1].endswith("another place")
    now[0], written = 61.0, len(log.lines) - 2
    log.handle(record("again"))
    assert log.lines[-1] == f"    ({1000 - written} of these were left out before)"


def test_one_client_hides_no_record_about_another_and_all_clients_together_are_bounded() -> None:
    now = [0.0]
    log = Kept(lambda: now[0])
    for _ in range(1000):
        log.handle(record("of one %s", "x" * 100, source="192.0.2.1"))
    assert sum(map(len, log.lines)) < CLIENT_SHARE + 500
    log.handle(record("of another", source="192.0.2.2"))
    assert log.lines[-1].endswith("of another")
    for n in range(3_000):
        log.handle(record("of many %s", "x" * LONGEST, source=f"2001:db8:{n:x}::"))
    assert sum(map(len, log.lines)) < CLIENTS * (CLIENT_SHARE + LONGEST + 500) + SHARE + LONGEST + 500
    now[0] = 61.0
    log.handle(record("of a new one", source="192.0.2.3"))
    assert log.lines[-1].endswith("of a new one")


def test_a_few_addresses_hide_no_record_about_another_by_records_of_many_kinds() -> None:
    log = Kept()
    for n in range(CLIENTS // 4):
        for kind in range(4):
            log.handle(record("of few", line=kind, source=f"2001:db8:{n:x}::"))
    for _ in range(1000):
        log.handle(record("of the next %s", "x" * 100, source="192.0.2.1"))
    log.handle(record("of another", source="192.0.2.2"))
    assert log.lines[-1].endswith("of another")


def test_what_is_printed_to_stderr_becomes_records(caplog: pytest.LogCaptureFixture) -> None:
    prints = Prints()
    print("one\x1b[2J\ntwo", end="", file=prints)
    print(" three", file=prints)
    assert [found.getMessage() for found in caplog.records] == ["one\x1b[2J", "two three"]
    assert prints.fileno() == 2


WRITER = """
import logging, os, subprocess, sys
from pathlib import Path
from services import ownfile, ownlog
ownfile.LIMIT = 1000
home = Path(sys.argv[1])
own = ownlog.listening()
with ownlog.prints_too():
    own.renew(home / "pushlog.log")
    for n in range(int(sys.argv[2])):
        logging.getLogger(str(n)).warning("record %d %s", n, "x" * 50)
    subprocess.run(["sh", "-c", "echo a child >&2"])
    print("printed", file=sys.stderr)
    if len(sys.argv) > 3:
        exec(sys.argv[3])
"""


def written(home: Path, count: int, then: str = "", file: Path | None = None) -> None:
    with (file or home / "pushlog.log").open("ab") as log:
        argv = [sys.executable, "-c", WRITER, str(home), str(count), *([then] if then else [])]
        subprocess.run(argv, stdout=log, stderr=log, check=False, cwd=Path(__file__).parents[2])


def parts(home: Path) -> list[Path]:
    return [path for n in range(KEPT, -1, -1) if (path := part(home / "pushlog.log", n)).exists()]


def test_the_file_is_renewed_as_it_grows_and_no_record_is_lost_until_its_part_is_the_oldest(tmp_path: Path) -> None:
    written(tmp_path, 30)
    lines = "".join(path.read_text() for path in parts(tmp_path)).splitlines()
    assert [line.split()[4:6] for line in lines[:-2]] == [["record", str(n)] for n in range(30)]
    assert lines[-2] == "a child"
    assert lines[-1].endswith(" stderr WARNING printed")
    written(tmp_path, 200)
    assert len(parts(tmp_path)) == len(list(tmp_path.iterdir())) == KEPT + 1
    assert all(path.stat().st_size < 1200 for path in parts(tmp_path))


def test_an_error_that_ends_the_process_is_a_record(tmp_path: Path) -> None:
    written(tmp_path, 0, "raise ValueError('a\\x1b[2J')")
    log = (tmp_path / "pushlog.log").read_text()
    assert "pushlog CRITICAL this process ends\n    Traceback" in log
    assert log.endswith("    ValueError: a\\x1b[2J\n")


def test_a_file_that_was_moved_away_is_made_again(tmp_path: Path) -> None:
    written(tmp_path, 1, "Path(home, 'pushlog.log').rename(home / 'mine'); logging.getLogger('x').warning('after')")
    assert (tmp_path / "pushlog.log").read_text().endswith("x WARNING after\n")


def test_a_file_that_is_not_the_instances_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pushlog.log").write_text("another process's\n")
    written(tmp_path, 30, file=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere").stat().st_size > 2000
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "pushlog.log"]


def test_a_log_that_cannot_be_written_or_renewed_stops_nothing(tmp_path: Path) -> None:
    full = Path("/dev/full")
    written(tmp_path, 3, "Path(home, 'went on').touch()", file=full)
    assert (tmp_path / "went on").exists()
    (tmp_path / "pushlog.log.new").mkdir()
    written(tmp_path, 30)
    assert (tmp_path / "pushlog.log").read_text().count(" record ") == 30
    assert parts(tmp_path) == [tmp_path / "pushlog.log"]


def test_every_part_goes_with_the_instance() -> None:
    from services.instance import MADE_FILES

    assert {part(Path("pushlog.log"), n).name for n in range(KEPT + 1)} <= set(MADE_FILES)
    assert ownfile.LIMIT * (KEPT + 1) <= 40 << 20
