"""What an instance keeps in its home."""

import os
from pathlib import Path

from services.instance import LOG_LIMIT, log_file


def test_a_log_that_has_grown_long_becomes_the_one_older_file(tmp_path: Path) -> None:
    log = log_file(tmp_path)
    log.write_text("short")
    assert log_file(tmp_path).read_text() == "short"
    for text in ("first", "second"):
        log.write_text(text)
        os.truncate(log, LOG_LIMIT + 1)
        assert not log_file(tmp_path).exists()
        assert (tmp_path / "pushlog.log.1").read_bytes().startswith(text.encode())
    assert len(list(tmp_path.iterdir())) == 1
