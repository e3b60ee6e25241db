"""What is kept of processes whose containers are gone."""

import os
import resource
from contextlib import contextmanager

import pytest

from deployer.logs import Archive, newest
from services.errors import Unavailable

APP = "00000000-0000-4000-8000-000000000001"
DAY = "2026-01-02T03:04:{:02}.000000000Z"


def raw(*seconds):
    return "".join(f"{DAY.format(second)} at {second}\n" for second in seconds).encode()


def texts(lines):
    return [line.text for line in lines]


def test_the_last_lines_of_all_containers_that_a_process_had_are_kept(tmp_path):
    archive = Archive(tmp_path)
    archive.keep(APP, "web.1", raw(1, 2))
    archive.keep(APP, "web.1", raw(3))
    assert texts(archive.lines(APP, "web.1", None, None)) == ["at 1", "at 2", "at 3"]
    assert texts(archive.lines(APP, "web.1", 2, None)) == ["at 2", "at 3"]
    assert texts(archive.lines(APP, "web.1", 5, None)) == ["at 1", "at 2", "at 3"]
    assert archive.lines(APP, "web.2", 5, None) == []


def test_a_file_that_ended_before_is_not_read_again(tmp_path):
    archive = Archive(tmp_path)
    archive.keep(APP, "web.1", raw(1))
    os.utime(tmp_path / APP / "web.1", (1000, 1000))
    assert archive.lines(APP, "web.1", None, 1001) == []
    assert texts(archive.lines(APP, "web.1", None, 999)) == ["at 1"]


def test_the_newest_lines_are_in_the_order_of_time_and_each_once(tmp_path):
    archive = Archive(tmp_path)
    archive.keep(APP, "web.1", raw(3, 1, 1))
    archive.keep(APP, "web.2", raw(2))
    lines = archive.lines(APP, "web.1", None, None) + archive.lines(APP, "web.2", None, None)
    assert texts(newest(lines, 2)) == ["at 2", "at 3"]
    assert texts(newest(lines, None)) == ["at 1", "at 2", "at 3"]


@contextmanager
def short_of_room():
    """Files grow to 60 bytes at most meanwhile, as if the disk were full then: that of the tests' output, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_lines_that_the_disk_takes_only_half_of_are_not_kept_at_all(tmp_path):
    archive = Archive(tmp_path)
    archive.keep(APP, "web.1", raw(1))
    with short_of_room(), pytest.raises(Unavailable, match="are free there"):
        archive.keep(APP, "web.1", raw(2, 3))
    assert texts(archive.lines(APP, "web.1", None, None)) == ["at 1"]
