"""What an instance keeps in its home."""

import os
from pathlib import Path

import pytest

from services.errors import Refused, Unavailable
from services.instance import joined, locked, running_pid, stop
from services.settings import Settings


def test_a_home_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(home=tmp_path / "file" / "home")
    for holding in (locked(settings), locked(settings, serving=True), joined(settings)):
        with (
            pytest.raises(Unavailable, match=r"^PUSHLOG_HOME: .*/file/home cannot be used \(Not a directory\)"),
            holding,
        ):
            pass


def test_a_command_that_holds_the_home_is_not_taken_for_the_platform(tmp_path: Path) -> None:
    settings, said = Settings(home=tmp_path), list[str]()
    with locked(settings):
        assert running_pid(tmp_path) is None
        stop(settings, said.append)
        for other in (locked(settings), locked(settings, serving=True), joined(settings)):
            with pytest.raises(Refused, match=r"another command works on .*; wait for its end"), other:
                pass
    assert said == [f"-----> Pushlog is not running at {tmp_path}"]
    with locked(settings, serving=True):
        assert running_pid(tmp_path) == os.getpid()
        with pytest.raises(Refused, match="is running; stop it with: pushlog down"), locked(settings):
            pass
    assert running_pid(tmp_path) is None
