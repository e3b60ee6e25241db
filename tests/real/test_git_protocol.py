"""Pushes and clones by the real git, and pushes that no git would make."""

import io
import os
import struct
import subprocess
import tarfile
import time
import uuid
import zlib
from hashlib import sha1  # git's ids
from pathlib import Path

import pytest
from dulwich.objects import Blob, Commit, ShaFile, Tree

from tests.real.doors import Doors, wait_until

ZERO = "0" * 40
MAIN = b"refs/heads/main"
LIMITS = '{"push_limit": 20000000, "file_limit": 6000000}'


@pytest.fixture(scope="module")
def doors():
    """A door for all tests here that share its limits."""
    doors = Doors(limits=LIMITS)
    yield doors
    doors.close()


@pytest.fixture(scope="module")
def doors_without_git(tmp_path_factory):
    """A door that takes packs by dulwich, because there is no git on its PATH."""
    doors = Doors(limits=LIMITS, path=str(tmp_path_factory.mktemp("empty")))
    yield doors
    doors.close()


@pytest.fixture(params=["doors", "doors_without_git"])
def either(request):
    """Both of the doors, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def own_doors():
    """A door of the test's own."""
    doors = Doors()
    yield doors
    doors.close()


@pytest.fixture(autouse=True)
def accept(request):
    """Each test begins with a door that accepts."""
    for name in ("doors", "doors_without_git", "own_doors"):
        if name in request.fixturenames:
            request.getfixturevalue(name).decide("")


@pytest.fixture
def app():
    """A fresh app's name."""
    return "app-" + uuid.uuid4().hex[:8]


@pytest.fixture
def work(doors, tmp_path):
    """A repository with one commit."""
    folder = tmp_path / "work"
    folder.mkdir()
    doors.git(folder, "init", "-q", "-b", "main")
    commit(doors, folder, {"app.py": b"print(1)\n"})
    return folder


def commit(doors: Doors, folder: Path, files: dict[str, bytes]) -> str:
    """Commit these files; returns the commit's id."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    doors.git(folder, "add", "-A")
    assert doors.git(folder, "commit", "-qm", "x").returncode == 0
    return doors.git(folder, "rev-parse", "HEAD").stdout.strip()


def repository_of(doors: Doors) -> list[Path]:
    return sorted((doors.home / "repositories").glob("*.git"))


def packs(doors: Doors) -> set[Path]:
    return set((doors.home / "repositories").glob("*.git/objects/pack/*"))


def quarantines(doors: Doors) -> list[Path]:
    return list((doors.home / "repositories").glob("*.git/incoming/*"))


def refs(doors: Doors, folder: Path, app: str) -> dict[str, str]:
    lines = doors.git(folder, "ls-remote", doors.url(app)).stdout.splitlines()
    return {name: sha for sha, name in (line.split("\t") for line in lines)}


# What git does


def test_a_clone_is_byte_for_byte_what_was_pushed(either, app, work):
    (work / "link").symlink_to("/etc/passwd")
    (work / "run.sh").write_bytes(b"#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)
    commit(either, work, {"a/b/c.txt": b"1", os.fsdecode(b"\xff\xfe name"): b"bytes", "big": os.urandom(5_000_000)})
    either.git(work, "tag", "-a", "v1", "-m", "one")
    pushed = either.git(work, "push", either.url(app), "main", "v1")
    assert pushed.returncode == 0, pushed.stderr
    assert "remote: -----> Deciding" in pushed.stderr
    cloned = either.git(work.parent, "clone", "-q", either.url(app), "copy")
    assert cloned.returncode == 0, cloned.stderr
    differences = subprocess.run(["diff", "-r", "--no-dereference", "-x", ".git", work, work.parent / "copy"])
    assert differences.returncode == 0
    assert either.git(work.parent / "copy", "rev-parse", "HEAD", "v1").stdout == (
        either.git(work, "rev-parse", "main", "v1").stdout
    )
    assert either.git(work.parent / "copy", "fsck", "--strict").returncode == 0


def test_the_pushed_tree_becomes_a_tar(doors, app, work):
    (work / "link").symlink_to("app.py")
    head = commit(doors, work, {"b": b"2"})
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0
    with tarfile.open(doors.home / "tree.tar") as tar:
        assert tar.getnames() == ["app.py", "b", "link"]
        assert tar.getmember("link").linkname == "app.py"
        assert {m.mtime for m in tar} == {int(doors.git(work, "show", "-s", "--format=%ct", head).stdout)}


def test_a_second_push_sends_only_the_change_and_a_fetch_brings_it(either, app, work):
    commit(either, work, {"big": os.urandom(2_000_000), "text": b"line\n" * 10_000})
    assert either.git(work, "push", either.url(app), "main").returncode == 0
    assert either.git(work.parent, "clone", "-q", either.url(app), "copy").returncode == 0
    before = packs(either)
    head = commit(either, work, {"text": b"line\n" * 10_000 + b"more\n"})
    assert either.git(work, "push", either.url(app), "main").returncode == 0
    fresh = packs(either) - before
    assert sum(path.stat().st_size for path in fresh) < 100_000
    assert either.git(work.parent / "copy", "pull", "-q").returncode == 0
    assert either.git(work.parent / "copy", "rev-parse", "HEAD").stdout.strip() == head


def test_a_partial_clone_is_a_full_one_and_says_so(either, app, work):
    assert either.git(work, "push", either.url(app), "main").returncode == 0
    cloned = either.git(work.parent, "clone", "--filter=blob:none", either.url(app), "copy")
    assert cloned.returncode == 0, cloned.stderr
    assert "filtering not recognized by server, ignoring" in cloned.stderr
    assert either.git(work.parent / "copy", "fsck", "--strict").returncode == 0


def test_a_push_with_nothing_new_ends_well(doors, app, work):
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0
    again = doors.git(work, "push", doors.url(app), "main")
    assert again.returncode == 0
    assert "Everything up-to-date" in again.stderr


def test_a_branch_on_a_commit_that_is_there_needs_no_pack(doors, app, work):
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0
    before = packs(doors)
    assert doors.git(work, "push", doors.url(app), "main:other").returncode == 0
    assert packs(doors) == before
    assert set(refs(doors, work, app)) == {"HEAD", "refs/heads/main", "refs/heads/other"}


def test_a_stale_push_is_gits_own_fetch_first(doors, app, work):
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0
    assert doors.git(work.parent, "clone", "-q", doors.url(app), "copy").returncode == 0
    commit(doors, work, {"x": b"1"})
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0
    commit(doors, work.parent / "copy", {"x": b"2"})
    stale = doors.git(work.parent / "copy", "push", doors.url(app), "main")
    assert stale.returncode == 1
    assert "fetch first" in stale.stderr


def test_a_refused_push_moves_no_ref_leaves_no_object_and_can_be_made_again(either, app, work):
    either.decide("refuse")
    before = packs(either)
    refused = either.git(work, "push", either.url(app), "main")
    assert refused.returncode == 1
    assert "[remote rejected] main -> main (pre-receive hook declined)" in refused.stderr
    assert refs(either, work, app) == {}
    assert packs(either) == before
    assert quarantines(either) == []
    either.decide("")
    assert either.git(work, "push", either.url(app), "main").returncode == 0


def test_an_empty_app_can_be_cloned(doors, app, tmp_path):
    cloned = doors.git(tmp_path, "clone", doors.url(app), "copy")
    assert cloned.returncode == 0
    assert "You appear to have cloned an empty repository" in cloned.stderr


def test_a_shallow_clone_can_be_made_and_a_push_from_one_that_lacks_history_is_refused_in_one_sentence(
    doors, app, work
):
    commit(doors, work, {"x": b"1"})
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0
    assert doors.git(work.parent, "clone", "-q", "--depth", "1", doors.url(app), "shallow").returncode == 0
    assert doors.git(work.parent / "shallow", "rev-list", "--count", "HEAD").stdout == "1\n"
    commit(doors, work.parent / "shallow", {"x": b"2"})
    assert doors.git(work.parent / "shallow", "push", doors.url(app), "main").returncode == 0
    refused = doors.git(work.parent / "shallow", "push", doors.url(app + "-new"), "main")
    assert refused.returncode == 1
    assert "shallow update not allowed; run `git fetch --unshallow`" in refused.stderr


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["push", "--atomic", "URL", "main"], "does not support --atomic push"),
        (["push", "-o", "x=y", "URL", "main"], "does not support push options"),
        (["push", "--signed=yes", "URL", "main"], "does not support --signed push"),
        (["push", "URL", "main:refs/for/main"], "invalid ref name"),
        (["push", "URL", "main:refs/notes/x"], "invalid ref name"),
        (["push", "URL", "main:refs/heads/wide\u009b1m"], "invalid ref name"),
        (["push", "URL", "main:refs/tags/back\u202ewards"], "invalid ref name"),
    ],
)
def test_what_is_not_offered_is_refused_in_one_line(doors, app, work, argv, reason):
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0
    before = refs(doors, work, app)
    refused = doors.git(work, *[doors.url(app) if word == "URL" else word for word in argv])
    assert refused.returncode != 0
    assert reason in refused.stderr
    assert refs(doors, work, app) == before


def test_a_sha256_repository_is_refused_in_one_line(doors, app, tmp_path):
    doors.git(tmp_path, "init", "-q", "-b", "main", "--object-format=sha256")
    commit(doors, tmp_path, {"x": b"1"})
    refused = doors.git(tmp_path, "push", doors.url(app), "main")
    assert refused.returncode != 0
    assert refused.stderr.startswith("fatal: ")
    assert refused.stderr.count("\n") == 1


def test_one_bad_ref_does_not_take_the_others_with_it(doors, app, work):
    done = doors.git(work, "push", doors.url(app), "main", "main:refs/odd/x")
    assert done.returncode == 1
    assert "[remote rejected] main -> refs/odd/x (invalid ref name)" in done.stderr
    assert set(refs(doors, work, app)) == {"HEAD", "refs/heads/main"}


def test_submodules_are_not_fetched_but_said_to_be_left_out(doors, app, work):
    doors.git(work, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},lib")
    assert doors.git(work, "commit", "-qm", "submodule").returncode == 0
    pushed = doors.git(work, "push", doors.url(app), "main")
    assert pushed.returncode == 0
    assert "submodule lib is left out" in pushed.stderr


def test_what_was_pushed_survives_git_gc(doors, app, work):
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0
    for repository in repository_of(doors):
        subprocess.run(["git", "-C", repository, "gc", "-q", "--prune=now"], check=True, env={**os.environ})
    assert doors.git(work.parent, "clone", "-q", doors.url(app), "copy").returncode == 0
    commit(doors, work, {"x": b"1"})
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0


def test_a_client_that_hangs_up_during_the_decision_does_not_stop_it(own_doors, tmp_path):
    own_doors.git(tmp_path, "init", "-q", "-b", "main")
    head = commit(own_doors, tmp_path, {"x": b"1"})
    own_doors.decide("hold")
    ssh = " ".join(["ssh", *own_doors.ssh_options()])
    with subprocess.Popen(
        ["git", "push", own_doors.url("hello"), "main"],
        cwd=tmp_path,
        env={**os.environ, "GIT_SSH_COMMAND": ssh},
        stderr=subprocess.PIPE,
        process_group=0,
    ) as client:
        assert client.stderr
        while b"waiting" not in client.stderr.readline():
            continue
        os.killpg(client.pid, 9)
    own_doors.decide("")
    wait_until(lambda: refs(own_doors, tmp_path, "hello").get("refs/heads/main") == head)


def test_long_lines_reach_the_client_whole_and_the_last_one_ends_its_colour(doors, work):
    doors.decide("print")
    try:
        said = doors.git(work, "push", doors.url("prints"), "main").stderr
    finally:
        doors.decide("")
    lines = [line.rstrip() for line in said.splitlines() if line.startswith("remote: ")]
    assert f"remote:        long{'x' * 40_000}" in lines
    assert f"remote:        red \x1b[31m€{'é' * 5_000}\\x1b]0;t\\x07\x1b[0m" in lines


def test_a_long_silent_decision_is_kept_alive(own_doors):
    own_doors.decide("slow")
    push = own_doors.raw_push("hello", [(ZERO, tip([blob, tree, made]), MAIN)], pack_of([blob, tree, made]))
    assert b"ok refs/heads/main" in push.report
    assert push.said.count(b"") >= 1


def test_a_killed_door_leaves_a_quarantine_that_the_next_start_removes(own_doors, tmp_path):
    own_doors.git(tmp_path, "init", "-q", "-b", "main")
    commit(own_doors, tmp_path, {"x": b"1"})
    own_doors.decide("hold")
    ssh = " ".join(["ssh", *own_doors.ssh_options()])
    with subprocess.Popen(
        ["git", "push", own_doors.url("hello"), "main"],
        cwd=tmp_path,
        env={**os.environ, "GIT_SSH_COMMAND": ssh},
        stderr=subprocess.DEVNULL,
    ) as client:
        wait_until(lambda: quarantines(own_doors))
        own_doors.stop(kill=True)
        assert client.wait(20) != 0
    assert quarantines(own_doors)
    own_doors.start()
    assert quarantines(own_doors) == []


# What no git does

blob = Blob.from_string(b"print(1)\n")
tree = Tree()
tree.add(b"app.py", 0o100644, blob.id)


def commit_of(tree: Tree, parents: tuple[bytes, ...] = ()) -> Commit:
    made = Commit()
    made.tree, made.message, made.parents = tree.id, b"x", list(parents)
    made.author = made.committer = b"A <a@b>"
    made.author_time = made.commit_time = 1_700_000_000
    made.author_timezone = made.commit_timezone = 0
    return made


made = commit_of(tree)


def tip(objects: list[ShaFile]) -> str:
    return objects[-1].id.decode()


def entry(kind: int, size: int, data: bytes, before: bytes = b"") -> bytes:
    """One entry of a pack: its type and declared size, and its deflated content after a delta's base."""
    first, size = kind << 4 | size & 15, size >> 4
    head = []
    while size:
        head.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    return bytes([*head, first]) + before + zlib.compress(data)


def git_id(data: bytes) -> str:
    return sha1(data, usedforsecurity=False).hexdigest()


def pack_with(entries: list[bytes]) -> bytes:
    body = b"PACK" + struct.pack(">II", 2, len(entries)) + b"".join(entries)
    return body + bytes.fromhex(git_id(body))


def pack_of(objects: list[ShaFile]) -> bytes:
    return pack_with([entry(o.type_num, len(o.as_raw_string()), o.as_raw_string()) for o in objects])


good = pack_of([blob, tree, made])
WRONG_LENGTH = pack_with([entry(3, 5, b"123456789"), *(entry(o.type_num, 9, b"x") for o in (tree, made))])


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("no pack at all", b""),
        ("no pack but text", b"GET / HTTP/1.1\r\n\r\n"),
        ("truncated", good[:-30]),
        ("cut in its header", good[:7]),
        ("wrong trailer", good[:-20] + bytes(20)),
        ("a flipped bit", good[:40] + bytes([good[40] ^ 4]) + good[41:]),
        ("more objects announced than there are", good[:8] + struct.pack(">I", 9) + good[12:]),
        ("an unknown version", b"PACK" + struct.pack(">I", 9) + good[8:]),
        ("a content of another length than declared", WRONG_LENGTH),
        ("a delta on itself", pack_with([entry(6, 4, b"\x01\x01\x01a", b"\x00")])),
        ("a delta on nothing", pack_with([entry(7, 4, b"\x01\x01\x01a", b"\x11" * 20)])),
        ("an object of no type", pack_with([entry(5, 1, b"x")])),
        ("a tree of garbage", pack_with([entry(2, 7, b"garbage")])),
        ("a commit of garbage", pack_with([entry(1, 7, b"garbage")])),
        ("a commit without its tree", pack_of([made])),
        ("a tree without its blob", pack_of([tree, made])),
        ("a commit without its parent", pack_of([blob, tree, commit_of(tree, (b"1" * 40,))])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pack_that_is_not_whole_is_refused_with_a_reason_and_leaves_nothing(either, app, name, pack):
    before = packs(either)
    started = time.monotonic()
    push = either.raw_push(app, [(ZERO, made.id.decode(), MAIN)], pack)
    assert time.monotonic() - started < 5
    assert len(push.report) == 2, (push.report, push.stderr)
    assert push.report[0].startswith(b"unpack ")
    assert push.report[0] != b"unpack ok"
    assert push.report[1] == b"ng refs/heads/main unpacker error"
    assert packs(either) == before
    assert quarantines(either) == []


def test_a_commit_that_was_not_sent_is_refused(either, app):
    push = either.raw_push(app, [(ZERO, "1" * 40, MAIN)], good)
    assert push.report == [b"unpack ok", b"ng refs/heads/main missing necessary objects"]


@pytest.mark.parametrize("thing", [blob, tree])
def test_a_branch_of_something_else_than_a_commit_is_refused(doors, app, thing):
    push = doors.raw_push(app, [(ZERO, thing.id.decode(), MAIN)], good)
    assert push.report == [b"unpack ok", b"ng refs/heads/main a branch or tag must be of a commit"]


@pytest.mark.parametrize(
    "name",
    [
        b".git",
        b".GIT",
        b"git~1",
        ".g\u200cit".encode(),
        b".git ",
        b".git::$INDEX_ALLOCATION",
        b"..",
        b".",
        b"",
        b"a\\b",
    ],
)
def test_an_unsafe_path_is_refused_naming_its_tree(either, app, name):
    bad = Tree()
    bad.add(b"x", 0o100644, blob.id)
    raw = b"100644 " + name + b"\0" + bytes.fromhex(blob.id.decode())
    sha = git_id(b"tree %d\0" % len(raw) + raw)
    head = commit_of(bad)
    head.tree = sha.encode()
    pack = pack_with(
        [
            entry(3, len(blob.data), blob.data),
            entry(2, len(raw), raw),
            entry(1, len(head.as_raw_string()), head.as_raw_string()),
        ]
    )
    push = either.raw_push(app, [(ZERO, head.id.decode(), MAIN)], pack)
    reason = f"unsafe path in tree {sha}" if name else sha  # to git, a tree with an empty name is no tree at all
    assert reason in b"\n".join(push.report).decode()
    assert b"ok refs/heads/main" not in push.report


@pytest.mark.parametrize(
    "ref",
    [
        b"HEAD",
        b"refs/heads/../../x",
        b"refs/heads/a.lock",
        b"refs//a",
        b"refs/heads/@{",
        b"refs/heads/-h",
        b"refs/heads/" + b"x" * 10_000,
        b"refs/heads/a\nb",
        b"refs/heads/\xff\xfe",
        b"refs/pushlog/pushes/x",
        b"../../../etc/passwd",
    ],
)
def test_odd_ref_names_are_refused_one_by_one(doors, app, ref):
    push = doors.raw_push(app, [(ZERO, made.id.decode(), ref), (ZERO, made.id.decode(), MAIN)], good)
    assert push.report[0] == b"unpack ok"
    assert push.report[1].startswith(b"ng ")
    assert push.report[1].endswith(b" invalid ref name")
    assert push.report[-1] == b"ok refs/heads/main"


def test_one_ref_twice_in_a_push_is_refused_the_second_time(doors, app):
    push = doors.raw_push(app, [(ZERO, made.id.decode(), MAIN)] * 2, good)
    assert b"ng refs/heads/main named twice in one push" in push.report


def test_a_push_of_very_many_refs_is_refused_in_one_sentence(doors, app):
    many = [(ZERO, made.id.decode(), b"refs/heads/b%d" % n) for n in range(5000)]
    started = time.monotonic()
    argv = doors.ssh_argv("git-receive-pack", app)
    lines = b"".join(
        b"%04x" % (len(line) + 4) + line
        for at, (old, new, ref) in enumerate(many)
        for line in [f"{old} {new} ".encode() + ref + (b"\0 report-status side-band-64k" if not at else b"")]
    )
    done = subprocess.run(argv, input=lines + b"0000" + good, capture_output=True, timeout=30)
    assert done.returncode == 1
    assert b" !     A push may change at most 1000 branches and tags; push fewer at once.\n" in done.stderr
    assert time.monotonic() - started < 5


def test_only_what_the_refs_reach_can_be_fetched(doors, app, work):
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0
    secret = commit(doors, work, {"x": b"secret"})
    doors.decide("refuse")
    assert doors.git(work, "push", doors.url(app), "main").returncode == 1
    fetched = doors.git(work.parent, "clone", "-q", doors.url(app), "copy")
    assert fetched.returncode == 0
    refused = doors.git(work.parent / "copy", "fetch", doors.url(app), secret)
    assert refused.returncode != 0


# Limits


def test_a_pack_beyond_the_limit_is_refused_with_its_size(either, app, work):
    commit(either, work, {f"big{n}": os.urandom(5_000_000) for n in range(5)})
    before = packs(either)
    refused = either.git(work, "push", either.url(app), "main")
    assert refused.returncode != 0
    assert "pack exceeds 19.1 MiB" in refused.stderr
    assert packs(either) == before
    assert refs(either, work, app) == {}


def test_a_file_beyond_the_limit_is_refused_with_its_name(either, app, work):
    commit(either, work, {"sub/big": os.urandom(7_000_000)})
    refused = either.git(work, "push", either.url(app), "main")
    assert refused.returncode == 1
    assert 'file: "sub/big" has 6.7 MiB; use at most 5.7 MiB' in refused.stderr
    assert refs(either, work, app) == {}


def memory(doors: Doors) -> int:
    status = Path(f"/proc/{doors.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def test_a_bomb_is_refused_soon_and_takes_no_memory(own_doors):
    size = 300 << 20
    squeezer = zlib.compressobj(1)
    content = squeezer.compress(bytes(size)) + squeezer.flush()
    bomb = Tree()
    bomb.add(b"bomb", 0o100644, git_id(b"blob %d\0" % size + bytes(size)).encode())
    top = commit_of(bomb)
    rest = [entry(o.type_num, len(o.as_raw_string()), o.as_raw_string()) for o in (bomb, top)]
    head = entry(3, size, b"")[: -len(zlib.compress(b""))]
    own_doors.ssh("whoami")
    before = memory(own_doors)
    started = time.monotonic()
    push = own_doors.raw_push("hello", [(ZERO, top.id.decode(), MAIN)], pack_with([head + content, *rest]))
    assert push.report[-1] == b'ng refs/heads/main file: "bomb" has 300 MiB; use at most 100 MiB'
    assert time.monotonic() - started < 10
    assert memory(own_doors) - before < 64_000
    assert own_doors.ssh("whoami").returncode == 0


def test_a_pack_of_very_many_small_objects_is_taken(doors, app):
    blobs = [Blob.from_string(b"%d" % n) for n in range(20_000)]
    push = doors.raw_push(app, [(ZERO, made.id.decode(), MAIN)], pack_of([*blobs, blob, tree, made]))
    assert push.report == [b"unpack ok", b"ok refs/heads/main"]


def test_a_long_chain_of_deltas_is_taken_or_refused_but_ends(doors, app):
    content, entries, offsets = b"x" * 20, [entry(3, 20, b"x" * 20)], [12]
    for _ in range(10_000):
        offsets.append(offsets[-1] + len(entries[-1]))
        back, coded = offsets[-1] - offsets[-2], b""
        coded = bytes([back & 0x7F])
        while back := back >> 7:
            back -= 1
            coded = bytes([back & 0x7F | 0x80]) + coded
        delta = bytes([len(content), len(content) + 0, 0x90, len(content)])
        entries.append(entry(6, len(delta), delta, coded))
    rest = [entry(o.type_num, len(o.as_raw_string()), o.as_raw_string()) for o in (blob, tree, made)]
    started = time.monotonic()
    push = doors.raw_push(app, [(ZERO, made.id.decode(), MAIN)], pack_with([*entries, *rest]))
    assert push.report
    assert time.monotonic() - started < 10


def test_the_tar_of_a_pushed_tree_is_the_one_git_would_make(doors, app, work):
    commit(doors, work, {"a/b": b"1", "c": b"2", "ü": b"3"})
    assert doors.git(work, "push", doors.url(app), "main").returncode == 0
    archive = subprocess.run(["git", "-C", work, "archive", "main"], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as theirs, tarfile.open(doors.home / "tree.tar") as ours:
        expected = {m.name: (m.size, m.type) for m in theirs}
        assert {m.name: (m.size, m.type) for m in ours} == expected
