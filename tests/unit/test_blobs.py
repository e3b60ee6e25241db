"""What travels beside the log."""

import errno
import os
import shutil
import time

import pytest

from services.blobs import YOUNG, Blobs, Outputs
from services.errors import Unavailable


def test_a_blob_is_read_by_the_digest_it_was_stored_under(tmp_path):
    blobs = Blobs(tmp_path)
    digest = blobs.put_bytes(b"tree")
    assert (blobs.read(digest), blobs.put_bytes(b"tree")) == (b"tree", digest)


def fail(file):
    file.write(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_blob_that_the_disk_does_not_take_leaves_nothing_and_says_how_much_room_there_is(tmp_path):
    with pytest.raises(Unavailable, match=r"No space left on device; .* of .* are free there"):
        Blobs(tmp_path).put(fail)
    assert list(tmp_path.iterdir()) == []


def test_the_output_of_a_failure_is_kept_where_it_can_be(tmp_path):
    output = Outputs(tmp_path, 100).open("story")
    output.line("why")
    blobs = Blobs(tmp_path / "blobs")
    assert blobs.read(blobs.keep(output)) == b"why\n"
    shutil.rmtree(tmp_path / "blobs")
    assert blobs.keep(output) is None


def test_a_part_that_does_not_answer_is_told_of_once_by_all_who_try(tmp_path):
    outputs = Outputs(tmp_path, 100)
    for _ in range(3):
        with pytest.raises(Unavailable), outputs.open("story").telling():
            raise Unavailable("Docker does not answer")
    assert outputs.read("story", 0) == b" !     Docker does not answer; this waits and is tried again\n"


def test_a_blob_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(KeyError):
        Blobs(tmp_path).read("sha256:" + "0" * 64)


def test_live_output_is_read_from_where_a_follower_left_off(tmp_path):
    outputs = Outputs(tmp_path, 100)
    outputs.open("story").line("one")
    first = outputs.read("story", 0)
    outputs.open("story").line("two")
    assert (first, outputs.read("story", len(first))) == (b"one\n", b"two\n")


def test_what_is_kept_of_live_output_has_a_limit(tmp_path):
    output = Outputs(tmp_path, 5).open("story")
    output.write(b"1234567890")
    assert (bytes(output.kept), Outputs(tmp_path, 5).read("story", 0)) == (b"12345", b"1234567890")


def test_output_that_nobody_saw_the_end_of_is_forgotten_and_that_of_a_story_under_way_is_kept(tmp_path):
    outputs = Outputs(tmp_path, 100)
    outputs.open("left").line("x")
    os.utime(tmp_path / "left", (0, time.time() - 1000))
    outputs.open("under-way").line("x")
    outputs.forget(900)
    assert (outputs.read("left", 0), outputs.read("under-way", 0)) == (b"", b"x\n")


def test_blobs_that_nothing_needs_are_removed_once_no_outcome_can_be_about_to_need_them(tmp_path):
    blobs = Blobs(tmp_path)
    old, young = blobs.put_bytes(b"old"), blobs.put_bytes(b"young")
    long_ago = time.time() - YOUNG - 1
    os.utime(blobs.path(old), (long_ago, long_ago))
    assert blobs.remove([old, young, "sha256:" + "0" * 64]) == 1
    assert blobs.read(young) == b"young"
    with pytest.raises(KeyError):
        blobs.read(old)
    assert blobs.put_bytes(b"old") == old
    assert blobs.remove([old]) == 0, "it was stored anew"
