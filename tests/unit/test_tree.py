"""Walking a commit's tree and writing it as a tar."""

import io
import tarfile

import pytest
from dulwich.object_store import MemoryObjectStore
from dulwich.objects import Blob, Commit, Tag, Tree

from gitreceiver.git.measure import Limits, unsafe
from gitreceiver.git.reading import DulwichObjects
from gitreceiver.git.tree import write_tar
from services.errors import BadInput

LIMITS = Limits(file=1000, total=5000, entries=50, depth=5)
Files = dict[bytes, tuple[int, bytes]]


def tree_of(store: MemoryObjectStore, files: Files) -> Tree:
    """A tree of paths without any check of its own."""
    tree, folders = Tree(), dict[bytes, Files]()
    for path, (mode, data) in files.items():
        name, slash, rest = path.partition(b"/")
        if slash:
            folders.setdefault(name, {})[rest] = (mode, data)
        elif mode == 0o160000:
            tree.add(name, mode, data)
        else:
            blob = Blob.from_string(data)
            store.add_object(blob)
            tree.add(name, mode, blob.id)
    for name, below in folders.items():
        tree.add(name, 0o40000, tree_of(store, below).id)
    store.add_object(tree)
    return tree


def commit_with(store: MemoryObjectStore, tree: Tree, time: int = 1_700_000_000) -> Commit:
    commit = Commit()
    commit.tree, commit.message = tree.id, b"x"
    commit.author = commit.committer = b"A <a@b>"
    commit.author_time = commit.commit_time = time
    commit.author_timezone = commit.commit_timezone = 0
    store.add_object(commit)
    return commit


def tar_of(files: Files, limits: Limits = LIMITS) -> tarfile.TarFile:
    store, sink = MemoryObjectStore(), io.BytesIO()
    commit = commit_with(store, tree_of(store, files))
    write_tar(DulwichObjects(store), commit.id.decode(), sink, limits)
    sink.seek(0)
    return tarfile.open(fileobj=sink, encoding="utf-8", errors="surrogateescape")


def test_the_tar_holds_every_file_with_its_bytes_mode_and_the_commits_time() -> None:
    tar = tar_of({b"app.py": (0o100644, b"hi"), b"bin/run": (0o100755, b"#!"), b"old": (0o100664, b"")})
    found = {member.name: (oct(member.mode), member.mtime, member.uid, member.gname) for member in tar}
    assert found == {
        "app.py": ("0o644", 1_700_000_000, 0, ""),
        "bin": ("0o755", 1_700_000_000, 0, ""),
        "bin/run": ("0o755", 1_700_000_000, 0, ""),
        "old": ("0o644", 1_700_000_000, 0, ""),
    }
    assert tar.extractfile("app.py").read() == b"hi"  # type: ignore[union-attr]


def test_the_same_tree_gives_the_same_bytes() -> None:
    outputs = []
    for _ in range(2):
        store, sink = MemoryObjectStore(), io.BytesIO()
        commit = commit_with(store, tree_of(store, {b"b": (0o100644, b"1"), b"a/c": (0o100644, b"2")}))
        write_tar(DulwichObjects(store), commit.id.decode(), sink, LIMITS)
        outputs.append(sink.getvalue())
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    "name",
    [
        b"\xff\xfe",
        "\u00e9".encode(),
        "e\u0301".encode(),
        b"with space",
        b"new\nline",
        b"-rf",
        b"x" * 255,
        b"Case",
        b"case",
    ],
)
def test_names_come_out_byte_for_byte(name: bytes) -> None:
    tar = tar_of({name: (0o100644, b"x"), b"d/" + name: (0o100644, b"y")})
    assert {m.name.encode("utf-8", "surrogateescape") for m in tar if m.isfile()} == {name, b"d/" + name}


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../../x", b"self", b"\xff"])
def test_symlinks_stay_symlinks_and_are_never_followed(target: bytes) -> None:
    tar = tar_of({b"link": (0o120000, target)})
    member = tar.getmember("link")
    assert member.issym()
    assert member.linkname.encode("utf-8", "surrogateescape") == target


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 999 + b"\0"])
def test_a_symlink_to_nothing_that_can_be_a_path_is_refused(target: bytes) -> None:
    with pytest.raises(BadInput, match="symlink"):
        tar_of({b"link": (0o120000, target)})


def test_submodules_are_left_out() -> None:
    tar = tar_of({b"lib/sub": (0o160000, b"1" * 40), b"x": (0o100644, b"")})
    assert tar.getnames() == ["lib", "x"]


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b".",
        b"..",
        b".git",
        b".GIT",
        b".Git",
        b"git~1",
        b"GIT~1",
        ".g\u200cit".encode(),
        "\ufeff.git".encode(),
        ".gi\u2060t".replace("\u2060", "\u206a").encode(),
        b".git ",
        b".git.",
        b".git. .",
        b".git::$INDEX_ALLOCATION",
        b".git:x",
        b"a\\b",
        b"a/b",
        b"a\0b",
    ],
)
def test_a_name_that_could_escape_or_pass_for_git_is_unsafe(name: bytes) -> None:
    assert unsafe(name)


@pytest.mark.parametrize(
    "name", [b".gitignore", b".github", b"git", b"...", b"a.git", b"git~10", b".gitmodules", b"\xff"]
)
def test_ordinary_names_are_safe(name: bytes) -> None:
    assert not unsafe(name)


@pytest.mark.parametrize("path", [b".git", b"sub/.GIT", b"a\\b"])
def test_an_unsafe_name_is_refused_naming_its_tree(path: bytes) -> None:
    with pytest.raises(BadInput, match=r"unsafe path in tree [0-9a-f]{40}"):
        tar_of({path: (0o100644, b"x")})


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({b"big": (0o100644, b"x" * 1001)}, r'file: "big" has 1001 bytes; use at most 1000 bytes'),
        ({b"%d" % n: (0o100644, b"x" * 1000) for n in range(6)}, "more than .* unpacked"),
        ({b"%d" % n: (0o100644, b"") for n in range(51)}, "more than 50 files"),
        ({b"a/" * 6 + b"x": (0o100644, b"")}, "folders are more than 5 deep"),
        ({b"x" * 256: (0o100644, b"")}, "has 256 bytes; use at most 255"),
    ],
)
def test_a_tree_beyond_a_limit_is_refused_naming_it(files: Files, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        tar_of(files)


def test_a_path_that_no_system_takes_is_refused() -> None:
    with pytest.raises(BadInput, match="a path has 5001 bytes"):
        tar_of({(b"x" * 250 + b"/") * 19 + b"y" * 232: (0o100644, b"")}, Limits(10, 10, depth=30))


def test_a_tree_that_repeats_itself_exponentially_is_refused() -> None:
    store = MemoryObjectStore()
    tree = tree_of(store, {b"x": (0o100644, b"x")})
    for _ in range(20):
        above = Tree()
        for name in (b"a", b"b", b"c"):
            above.add(name, 0o40000, tree.id)
        store.add_object(above)
        tree = above
    with pytest.raises(BadInput, match="more than 50 files"):
        write_tar(DulwichObjects(store), commit_with(store, tree).id.decode(), io.BytesIO(), Limits(10, 10_000, 50, 30))


def test_a_tag_leads_to_its_commit_and_a_tree_to_none() -> None:
    store = MemoryObjectStore()
    tree = tree_of(store, {})
    commit = commit_with(store, tree)
    tag = Tag()
    tag.name, tag.message, tag.tagger = b"v1", b"x", b"A <a@b>"
    tag.object, tag.tag_time, tag.tag_timezone = (Commit, commit.id), 0, 0
    store.add_object(tag)
    objects = DulwichObjects(store)
    assert objects.peel([tag.id.decode(), tree.id.decode(), "1" * 40]) == [
        (commit.id.decode(), bytes.fromhex(tree.id.decode())),
        None,
        None,
    ]
    assert objects.commit(tag.id.decode()) == (bytes.fromhex(tree.id.decode()), 1_700_000_000)
    with pytest.raises(BadInput, match="is not a commit; push from an intact repository"):
        objects.commit(tree.id.decode())
