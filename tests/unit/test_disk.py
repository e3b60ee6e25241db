"""Whether there is room, and what is said when there is none."""

import errno
import os
import shutil

import pytest

from services import disk
from services.errors import Unavailable


def test_what_the_disk_takes_is_let_through(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "RESERVE", 0)
    disk.require(tmp_path)
    assert disk.takes(tmp_path, 1)


def test_what_it_does_not_take_is_refused_with_what_is_free_and_what_is_needed(tmp_path, monkeypatch):
    total = shutil.disk_usage(tmp_path).total
    assert not disk.takes(tmp_path, total)
    with pytest.raises(Unavailable, match=r"^the disk is full: \S+ \S+ are free at \S+, \S+ \S+ are needed; free some"):
        disk.require(tmp_path, total)


def test_what_the_disk_does_not_do_is_unavailable_with_its_reason_and_the_free_space(tmp_path):
    with (
        pytest.raises(Unavailable, match=r": No space left on device; .* of .* are free there$"),
        disk.answering(tmp_path),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("size", "text"), [(1, "1 bytes"), (500 << 20, "500 MiB"), (1536 << 20, "1.5 GiB"), (2048, "2 KiB")]
)
def test_sizes_are_shown_for_people(size, text):
    assert disk.human(size) == text
