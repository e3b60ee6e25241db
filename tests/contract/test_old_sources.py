"""Version 0.1.0 kept each pushed tree as a blob: it goes once its tree can be made of git objects, and not before."""

import os
import shutil

import pytest

from gitreceiver.on_app_shredded import mend
from gitreceiver.trees import Push
from services.events import PushReceived
from tests.contract import backups
from tests.contract.backups import APP, instance


@pytest.fixture
def parts(tmp_path):
    """An instance with two pushes of version 0.1.0, long ago."""
    with instance(tmp_path) as made:
        backups.fill(made, 2)
        for path in (made.settings.home / "blobs").glob("[0-9a-f]" * 64):
            os.utime(path, (0, 0))
        yield made


def pushes(parts):
    """The pushes to the app that has a repository."""
    return [e for e in parts.log.read(0, 10_000) if isinstance(e.data, PushReceived) and e.data.app == APP]


def test_a_blob_goes_whose_tree_can_be_made_and_the_tar_is_the_same(parts):
    first, second = pushes(parts)
    content = parts.blobs.read(first.data.source)
    mend(parts)
    for push in (first, second):
        with pytest.raises(KeyError):
            parts.blobs.path(push.data.source)
    assert parts.trees.ready(Push(APP, first.id, first.data.new, first.data.source))
    assert parts.sources.path(APP, first.id).read_bytes() == content


def test_a_blob_stays_whose_commit_is_gone_and_is_built_of(parts):
    first, _ = pushes(parts)
    shutil.rmtree(parts.settings.home / "repositories" / f"{APP}.git")
    mend(parts)
    assert parts.trees.ready(Push(APP, first.id, first.data.new, first.data.source))
    assert parts.sources.path(APP, first.id).read_bytes() == parts.blobs.read(first.data.source)


def test_an_asker_is_told_to_ask_again_while_a_tar_is_made(parts):
    first, _ = pushes(parts)
    push = Push(APP, first.id, first.data.new, "")
    with backups.repository(parts.settings.home, APP).alone() as lock:  # as while it is compacted
        assert lock is not None
        assert not parts.trees.ready(push, patience=0.05)
        assert not parts.trees.ready(push, patience=0.05)
    assert parts.trees.ready(push)


def test_what_a_process_left_that_died_while_it_wrote_a_tar_goes_at_the_next_start(parts):
    first, _ = pushes(parts)
    (parts.sources.path(APP, first.id).parent / ".1.half").write_bytes(b"half a tar")
    mend(parts)
    assert list(parts.sources.path(APP, first.id).parent.iterdir()) == []
