"""Measuring a tree without writing it out."""

import hashlib
from collections.abc import Iterator, Sequence

import pytest

from gitreceiver.git.measure import NAMED, Limits, Measure, Measures
from services.errors import BadInput

LIMITS = Limits(file=1000, total=5000, entries=50, depth=5)
FILE, LINK, FOLDER, MODULE = 0o100644, 0o120000, 0o40000, 0o160000


class Store:
    """Trees and files in memory. `looked` counts the trees that were read."""

    def __init__(self) -> None:
        self.trees: dict[bytes, bytes] = {}
        self.contents: dict[bytes, bytes] = {}
        self.looked = 0

    def folder(self, *entries: tuple[bytes, int, bytes]) -> bytes:
        raw = b"".join(b"%o %s\0%s" % (mode, name, id_) for name, mode, id_ in entries)
        return self.put(self.trees, raw)

    def file(self, content: bytes) -> bytes:
        return self.put(self.contents, content)

    def put(self, where: dict[bytes, bytes], content: bytes) -> bytes:
        id_ = hashlib.sha1(content, usedforsecurity=False).digest()
        where[id_] = content
        return id_

    def commit(self, id_: str) -> tuple[bytes, int]:
        raise NotImplementedError

    def tree(self, id_: bytes) -> bytes:
        self.looked += 1
        return self.trees[id_]

    def sizes(self, ids: Sequence[bytes]) -> list[int]:
        return [len(self.contents[id_]) for id_ in ids]

    def files(self, ids: Sequence[bytes]) -> Iterator[bytes]:
        return (self.contents[id_] for id_ in ids)


@pytest.fixture
def store() -> Store:
    return Store()


def nested(store: Store, names: Sequence[bytes], times: int, limits: Limits) -> Measure:
    tree = store.folder((b"x", FILE, store.file(b"x")))
    for _ in range(times):
        tree = store.folder(*((name, FOLDER, tree) for name in names))
    return Measures(store, limits).of(tree)


def test_a_folder_that_is_named_many_times_counts_each_time_and_is_looked_at_once(store: Store) -> None:
    found = nested(store, (b"a", b"b"), 10, Limits(10, 10_000, 5000, 30))
    assert (found.entries, found.total, found.depth, found.longest) == (2**11 - 2 + 2**10, 2**10, 11, 21)
    assert store.looked == 11


def test_too_many_files_are_refused_after_few_looks(store: Store) -> None:
    with pytest.raises(BadInput, match="tree: it has more than 200000 files and folders; use fewer"):
        nested(store, (b"a", b"b", b"c"), 11, Limits(10, 1_000_000))
    assert store.looked == 12


@pytest.mark.parametrize(
    ("times", "reason"),
    [(299, None), (300, "tree: folders are more than 300 deep; use fewer levels"), (5000, "300 deep")],
)
def test_folders_within_folders_are_counted(store: Store, times: int, reason: str | None) -> None:
    if reason is None:
        assert nested(store, (b"a",), times, Limits(10, 10_000)).depth == 300
        return
    with pytest.raises(BadInput, match=reason):
        nested(store, (b"a",), times, Limits(10, 10_000))


def test_two_commits_share_what_is_known_of_their_folders(store: Store) -> None:
    below = store.folder((b"x", FILE, store.file(b"x")))
    measures = Measures(store, LIMITS)
    for number in range(10):
        measures.of(store.folder((b"below", FOLDER, below), (b"%d" % number, FILE, store.file(b"%d" % number))))
    assert store.looked == 11


def test_a_refused_tree_is_refused_again_without_a_look(store: Store) -> None:
    tree, measures = store.folder((b".git", FILE, store.file(b""))), Measures(store, LIMITS)
    for _ in range(3):
        with pytest.raises(BadInput, match=f'unsafe path in tree {tree.hex()}: ".git" is refused'):
            measures.of(tree)
    assert store.looked == 1


def test_a_file_beyond_the_limit_is_told_with_its_path(store: Store) -> None:
    below = store.folder((b"big", FILE, store.file(b"x" * 1001)))
    with pytest.raises(BadInput, match='file: "sub/big" has 1001 bytes; use at most 1000 bytes'):
        Measures(store, LIMITS).of(store.folder((b"sub", FOLDER, below)))


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 4001])
def test_a_symlink_that_leads_nowhere_is_found(store: Store, target: bytes) -> None:
    below = store.folder((b"good", LINK, store.file(b"../x")), (b"link", LINK, store.file(target)))
    assert Measures(store, Limits(10_000, 10_000)).of(store.folder((b"sub", FOLDER, below))).link == b"sub/link"


def test_submodules_are_named_up_to_a_number(store: Store) -> None:
    below = store.folder(*((b"m%02d" % n, MODULE, bytes(20)) for n in range(15)))
    found = Measures(store, LIMITS).of(store.folder((b"a", FOLDER, below), (b"b", FOLDER, below)))
    assert found.submodules[::15] == [b"a/m00", b"b/m00"]
    assert (len(found.submodules), found.more) == (NAMED, 30 - NAMED)


@pytest.mark.parametrize(
    "raw", [b"garbage", b"100644 x\0short", b" x\0" + bytes(20), b"999999 x\0" + bytes(20), b"1000644 x\0" + bytes(20)]
)
def test_what_is_no_tree_is_refused(store: Store, raw: bytes) -> None:
    with pytest.raises(BadInput, match="is not a tree; push from an intact repository"):
        Measures(store, LIMITS).of(store.put(store.trees, raw))
