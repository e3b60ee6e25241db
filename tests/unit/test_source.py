"""The pushed tree: what a container may see, what is refused, and what is streamed on."""

import io
import tarfile

import pytest

from builder import source as module
from builder.errors import BuildRefused
from builder.source import Source
from tests.unit.trees import entry, link, read_tree, write_tar


@pytest.fixture
def read(tmp_path):
    return lambda tree, **limits: read_tree(tmp_path / "source.tar", tree, **limits)


def unpacked(source, **wanted):
    """What the streamed tar holds: by name the entry, and the bytes of the files."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(source.tar(owner=1000, **wanted))), errors="surrogateescape") as tar:
        return {info.name: (info, tar.extractfile(info).read() if info.isreg() else None) for info in tar}


def test_a_tree_is_streamed_on_as_it_is_owned_by_the_app(read):
    tree = {
        "Procfile": "web: run\n",
        "bin/start": entry(tarfile.REGTYPE, mode=0o6755, size=700),
        "data/big": b"x" * 600_000,
        "data/empty": "",
        "loose": link("../../etc/passwd"),
        "itself": link("itself"),
    }
    found = unpacked(read(tree))
    assert sorted(found) == ["Procfile", "bin", "bin/start", "data", "data/big", "data/empty", "itself", "loose"]
    assert found["Procfile"][1] == b"web: run\n"
    assert found["bin/start"][1] == bytes(700)
    assert found["data/big"][1] == b"x" * 600_000
    assert found["loose"][0].linkname == "../../etc/passwd"
    assert {(info.uid, info.gid) for info, _ in found.values()} == {(1000, 1000)}
    modes = {name: info.mode for name, (info, _) in found.items()}
    assert (modes["Procfile"], modes["bin"], modes["bin/start"]) == (0o644, 0o755, 0o755)


def test_names_that_are_not_utf8_and_twins_in_case_or_accents_are_kept_byte_exact(read):
    names = ["caf\udce9", "readme", "README", "e\u0301", "\u00e9", "d/" * 300 + "deep"]
    assert set(names) <= set(unpacked(read(dict.fromkeys(names, "x"))))


def test_only_the_named_files_and_their_folders_are_streamed_when_some_are_named(read):
    source = read({"a/b/c": "1", "a/d": "2", "e": "3"})
    assert list(unpacked(source, names={"a/b/c"})) == ["a", "a/b", "a/b/c"]


def test_the_names_are_those_at_the_root(read):
    assert read({"Procfile": "", "web/app.py": "", "link": link("x")}).names == {"Procfile", "web", "link"}


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a/..", ".", "./a", "a/./b", "a//b", "", "a\0b"])
def test_a_path_that_is_not_plainly_within_the_tree_is_refused(tmp_path, name):
    path = write_tar(tmp_path / "source.tar", {"NAME": "x"})
    data = path.read_bytes()
    with tarfile.open(path) as tar:
        header = tar.next()
    header.name = "PLACEHOLDER"
    if "\0" in name:
        header.pax_headers = {"path": name}
        raw = header.tobuf(tarfile.PAX_FORMAT)
    else:
        header.name = name
        raw = header.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(raw + data[512:])
    with pytest.raises(BuildRefused, match=r"^source: "):
        Source.read(path, file_limit=100, tree_limit=100)


@pytest.mark.parametrize(
    "type",
    [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, b"Z"],
)
def test_an_entry_that_is_no_file_link_or_directory_is_refused(read, type):
    with pytest.raises(BuildRefused, match=r'^source: unsafe entry "x"; allowed are regular files, symbolic links'):
        read({"x": entry(type, "y" if type == tarfile.LNKTYPE else "")})


def test_a_sparse_file_is_refused(tmp_path):
    info = tarfile.TarInfo("sparse")
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000000000"}
    path = tmp_path / "source.tar"
    path.write_bytes(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    with pytest.raises(BuildRefused, match=r"^source: "):
        Source.read(path, file_limit=1 << 50, tree_limit=1 << 50)


@pytest.mark.parametrize("above", [link("/etc"), "a file"])
def test_an_entry_below_a_link_or_a_file_is_refused_in_either_order(read, above):
    for tree in ([("a", above), ("a/passwd", "x")], [("a/passwd", "x"), ("a", above)]):
        with pytest.raises(BuildRefused, match=r'unsafe entry "a/passwd", as "a" is a (link|file)'):
            read(tree)


def test_a_path_that_is_there_twice_is_refused(read):
    with pytest.raises(BuildRefused, match='"a" is there twice'):
        read([("a", "1"), ("a", "2")])


def test_a_file_a_tree_and_a_number_of_files_beyond_the_limits_are_refused(read, monkeypatch):
    with pytest.raises(BuildRefused, match='"a" has 11 bytes; allowed are 10'):
        read({"a": "x" * 11}, file_limit=10)
    with pytest.raises(BuildRefused, match="the tree is too large; allowed are 15 bytes"):
        read({"a": "x" * 10, "b": "x" * 10}, file_limit=10, tree_limit=15)
    monkeypatch.setattr(module, "MAX_MEMBERS", 3)
    with pytest.raises(BuildRefused, match="too many files and directories; allowed are 3"):
        read({"a/b/c/d": ""})


def test_a_name_or_path_that_no_file_system_takes_is_refused(read):
    for name in ("x" * 256, "/".join(["y" * 200] * 21)):
        with pytest.raises(BuildRefused, match="is too long; allowed are 4095 bytes, 255 between slashes"):
            read({name: ""})


@pytest.mark.parametrize("cut", [0, 100, 600, 1000])
def test_a_damaged_tar_is_refused(tmp_path, cut):
    path = write_tar(tmp_path / "source.tar", {"a": "x" * 5000})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BuildRefused, match=r"^source: the tar is damaged"):
        Source.read(path, file_limit=10_000, tree_limit=10_000)


def test_only_a_regular_file_within_the_limit_is_read(read):
    source = read({"Procfile": link("/etc/passwd"), "folder/x": "", "big": "x" * 9, "good": "ok"})
    assert source.read_file("good", limit=2) == b"ok"
    for name, why in {"Procfile": "a link", "folder": "a directory", "big": "9 bytes", "none": "there is none"}.items():
        with pytest.raises(BuildRefused, match=rf"^{name}: .*{why}"):
            source.read_file(name, limit=8)


def test_the_digest_follows_every_path_content_target_and_mode_and_nothing_else(tmp_path):
    tree = {"a": "1", "b": link("a"), "c/d": "2"}
    digest = read_tree(tmp_path / "0.tar", tree).digest()
    assert digest == read_tree(tmp_path / "1.tar", list(reversed(tree.items()))).digest()
    changed = [
        {**tree, "a": "3"},
        {**tree, "b": link("c")},
        {**tree, "b": "a"},
        {**tree, "e": ""},
        {"a": "1", "b": link("a"), "d": "2"},
        {**tree, "a": entry(tarfile.REGTYPE, mode=0o755, size=1)},
    ]
    digests = {read_tree(tmp_path / f"c{n}.tar", other).digest() for n, other in enumerate(changed)}
    assert len(digests) == len(changed)
    assert digest not in digests


def test_the_digest_of_some_files_does_not_follow_the_others(tmp_path):
    one = read_tree(tmp_path / "1.tar", {"a": "1", "b": "2"}).digest({"a"})
    assert one == read_tree(tmp_path / "2.tar", {"a": "1", "b": "3", "c": "4"}).digest({"a"})
