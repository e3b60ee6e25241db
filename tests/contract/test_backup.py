"""A backup is the instance that it is of, or it is refused and nothing was changed."""

import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import Blob, ShaFile
from dulwich.objects import Tree as GitTree
from dulwich.pack import write_pack_objects

from gitreceiver.backup import archive as archives
from gitreceiver.backup import export, plausible, restore, staging
from gitreceiver.backup.archive import FORMAT, HEADER, BadBackup, Writer
from gitreceiver.git.repository import repository
from gitreceiver.ports import Ports
from gitreceiver.trees import Push
from services.chain import COLUMNS, GENESIS, PAGE, Cause, Draft, Head, canonical, make_rows, row_hash
from services.errors import BadInput, PushlogError, Refused
from services.events import (
    AppCreated,
    AppShredded,
    ConfigChanged,
    DeployStarted,
    DomainTaken,
    Event,
    FormationChanged,
    NameTaken,
    PushReceived,
    RoutePublished,
    Slot,
    app_stream,
    domain_stream,
    name_stream,
)
from services.moments import moment
from tests.contract import backups
from tests.contract.backups import APP, SECRET, contents, exported, files_of, imported, instance, states, verified
from tests.contract.databases import KINDS

MAIN = "refs/heads/main"
NOBODY = "0190a8c0-0000-7000-8000-0000000000ff"
"""No app's uuid."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """An instance that has a log, and an app with all that belongs to it."""
    with instance(tmp_path_factory.mktemp("old")) as made:
        backups.fill(made)
        yield made


@pytest.fixture(scope="module")
def good(old: Ports) -> bytes:
    """A backup of it."""
    return exported(old)[0]


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Ports]:
    """An empty instance."""
    with instance(tmp_path) as made:
        yield made


def untouched(parts: Ports) -> bool:
    """Whether an instance is as empty as it was made."""
    return parts.log.head() == Head(0, GENESIS) and files_of(parts) == {} and parts.keyring.data_keys() == {}


# What comes back


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_has_the_same_events_keys_objects_and_sources(
    old: Ports, good: bytes, kind: str, tmp_path: Path
) -> None:
    with instance(tmp_path, kind) as parts:
        answer, said = imported(parts, good)
        assert answer["events"] == old.log.head().position
        assert not any("real" in line for line in said)  # the fleet's apps never had any sources
        assert answer["head"] == f"{old.log.head().position}:{old.log.head().hash}"
        assert parts.log.rows(0, 10_000) == old.log.rows(0, 10_000)
        assert states(parts) == states(old)
        sealed = next(e.data.set["TOKEN"] for e in old.log.read(0, 10_000) if "TOKEN" in getattr(e.data, "set", ()))
        assert parts.keyring.open(APP, "TOKEN", sealed) == SECRET
        assert parts.keyring.wrap(APP, bytes(32)) != old.keyring.wrap(APP, bytes(32))
        there = files_of(parts)
        assert {path for path in there if path.startswith("blobs/")} <= set(files_of(old))
        parts.projections.catch_up()
        with repository(parts.settings.home, APP).store() as store:
            assert parts.state.apps[APP].refs[MAIN].encode() in store
        held = {path for path in files_of(old) if "/pushlog/pushes/" in path}
        assert held == {path for path in there if "/pushlog/pushes/" in path}


def test_the_sources_that_an_old_version_kept_of_the_current_and_the_last_five_releases_come_along(
    old: Ports, good: bytes
) -> None:
    pushed = [e.data.source for e in old.log.read(0, 10_000) if e.type == "push.received" and e.data.app == APP]
    came = {name for name in contents(good) if name.startswith("blobs/")}
    assert came == {f"blobs/{source.removeprefix('sha256:')}" for source in pushed[-6:]}


def test_a_backup_without_any_source_is_whole_as_sources_are_made_of_commits(new: Ports, tmp_path: Path) -> None:
    with instance(tmp_path / "other") as parts:
        backups.fill(parts, 2)
        pushed = [e for e in parts.log.read(0, 10_000) if e.type == "push.received"][-1]
        path = parts.blobs.path(pushed.data.source)
        content = path.read_bytes()
        path.unlink()
        archive, said = exported(parts)
        assert not any("source" in line for line in said)
        assert not any("real" in line for line in imported(new, archive)[1])
        assert new.trees.ready(Push(APP, pushed.id, pushed.data.new, pushed.data.source))
        assert new.sources.path(APP, pushed.id).read_bytes() == content


def test_what_is_sound_says_its_head_and_changes_nothing(old: Ports, good: bytes, new: Ports) -> None:
    head = old.log.head()
    answer = verified(new, good)
    assert answer["head"] == f"{head.position}:{head.hash}"
    assert untouched(new)
    before = files_of(old)
    assert verified(old, good) == answer
    assert files_of(old) == before


def test_a_dry_run_tells_the_same_and_changes_nothing(good: bytes, new: Ports) -> None:
    answer, _ = imported(new, good, dry_run=True)
    assert untouched(new)
    assert imported(new, good)[0] == answer


def test_an_instance_without_events_is_a_backup_too(new: Ports, tmp_path: Path) -> None:
    archive, _ = exported(new)
    with instance(tmp_path / "other") as parts:
        assert imported(parts, archive)[0]["events"] == 0


def test_it_works_without_c_git(old: Ports, new: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (export, staging):
        monkeypatch.setattr(module, "has_git", lambda: False)
    imported(new, exported(old)[0])
    new.projections.catch_up()
    with repository(new.settings.home, APP).store() as store:
        assert new.state.apps[APP].refs[MAIN].encode() in store


def test_tar_lists_it(good: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(good)) as tar:
        names = tar.getnames()
    assert names[:3] == [HEADER, "events.jsonl", "keyring.json"]
    assert names[-1] == "manifest.json"


# Up to a moment


@pytest.mark.parametrize("at", [401, 402, 410, 425])
def test_up_to_a_position_comes_what_stood_there_and_what_was_recorded_with_it(
    old: Ports, good: bytes, new: Ports, at: int
) -> None:
    answer, _ = imported(new, good, until=at)
    position = new.log.head().position
    assert answer["events"] == position == (402 if at == 401 else at)
    assert new.log.rows(0, 10_000) == old.log.rows(0, position)
    assert states(new) == states(old, position)


def test_up_to_a_time_comes_what_was_recorded_by_then(old: Ports, good: bytes, new: Ports) -> None:
    event = old.log.read(409, 1)[0]
    imported(new, good, until=moment(event.time))
    assert new.log.head() == Head(event.position, event.hash)


def test_the_sources_of_releases_that_were_current_then_can_be_made(old: Ports, good: bytes, new: Ports) -> None:
    routed = next(e for e in old.log.read(FIRST, 100) if e.type == "route.published")
    assert not any("real" in line for line in imported(new, good, until=routed.position)[1])
    pushed = next(e for e in old.log.read(FIRST, 100) if e.type == "push.received")
    assert new.trees.ready(Push(APP, pushed.id, pushed.data.new, pushed.data.source))
    assert new.sources.path(APP, pushed.id).read_bytes() == old.blobs.read(pushed.data.source)


def test_what_was_recorded_at_once_comes_together_be_it_more_than_a_page(new: Ports, tmp_path: Path) -> None:
    with instance(tmp_path / "wide") as parts:
        backups.record(parts, backups.beginning())
        many = [f"d{number}.example.org" for number in range(3 * PAGE)]
        backups.record(parts, [Draft(domain_stream(h), "real", DomainTaken(app=APP, host=h)) for h in many])
        backups.record(parts, [on_app(ConfigChanged(app=APP, unset=["A"]))])
        assert imported(new, exported(parts)[0], until=7)[0]["events"] == 2 + len(many)


FIRST = backups.FLEET


@pytest.mark.parametrize(("until", "said"), [(0, "nothing had happened"), (10**6, "beyond the end")])
def test_a_moment_that_the_log_has_not_is_refused(good: bytes, new: Ports, until: int, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        imported(new, good, until=until)
    assert untouched(new)


# What is refused


def test_an_instance_with_events_takes_nothing(old: Ports, new: Ports) -> None:
    backups.record(new, [Draft(name_stream("a"), "a", NameTaken(app=APP, name="a"))])
    head = new.log.head()
    with pytest.raises(Refused, match="has events already, 1;"):
        imported(new, b"whatever")
    assert new.log.head() == head


def flipped(archive: bytes, at: int, bit: int) -> bytes:
    return archive[:at] + bytes([archive[at] ^ 1 << bit]) + archive[at + 1 :]


@pytest.mark.parametrize("seed", range(12))
def test_a_bit_that_is_another_is_refused_wherever_it_is(good: bytes, new: Ports, seed: int) -> None:
    random = Random(seed)
    with pytest.raises(PushlogError):
        imported(new, flipped(good, random.randrange(len(good)), random.randrange(8)))
    assert untouched(new)


def test_a_bit_of_the_header_the_padding_the_manifest_or_the_end_is_refused(good: bytes, new: Ports) -> None:
    manifest = good.rindex(b"manifest.json")
    for at in (0, 100, 513, 1000, manifest - 1, manifest, manifest + 600, len(good) - 1, len(good) - 1500):
        with pytest.raises(PushlogError):
            verified(new, flipped(good, at, 3))
    assert untouched(new)


@pytest.mark.parametrize("part", [0, 0.001, 0.01, 0.3, 0.6, 0.9, 0.99, 0.9999])
def test_what_is_cut_off_is_refused(good: bytes, new: Ports, part: float) -> None:
    with pytest.raises(BadBackup):
        imported(new, good[: int(part * len(good))])
    assert untouched(new)


@pytest.mark.parametrize("junk", [b"", b"hello\n", bytes(10240), b"\x1f\x8b" + bytes(2000), b"SQLite format 3\0" * 64])
def test_what_is_no_backup_is_refused_in_a_sentence(new: Ports, junk: bytes) -> None:
    with pytest.raises(BadBackup, match="no backup"):
        imported(new, junk)
    assert untouched(new)


def test_what_stands_behind_the_end_is_refused(good: bytes, new: Ports) -> None:
    with pytest.raises(BadBackup, match="behind its end"):
        imported(new, good + b"x")


def rewritten(good: bytes, change: Callable[[dict[str, bytes]], None], about: dict[str, object] | None = None) -> bytes:
    """A backup with the parts as `change` leaves them, under a manifest that fits them."""
    out = io.BytesIO()
    parts = contents(good)
    change(parts)
    head = json.loads(good[512 : 512 + int(good[124:135], 8)])
    rows = [json.loads(line) for line in parts["events.jsonl"].splitlines()]
    if rows and isinstance(rows[-1], list):
        head["head"] = {"position": rows[-1][0], "hash": rows[-1][-1]}
    writer = Writer(lambda data: out.write(data) and None, {**head, **(about or {})})
    for name, data in parts.items():
        writer.add(name, len(data), [data])
    writer.end()
    return out.getvalue()


def test_a_newer_format_is_refused(good: bytes, new: Ports) -> None:
    with pytest.raises(BadBackup, match=f"has format {FORMAT + 1}, newer than this Pushlog's {FORMAT}; upgrade"):
        imported(new, rewritten(good, lambda parts: None, {"format": FORMAT + 1}))
    assert untouched(new)


@pytest.mark.parametrize("version", [True, 0, -1, 1.0, "1", None, [1]])
def test_a_format_that_is_none_is_refused(good: bytes, new: Ports, version: object) -> None:
    with pytest.raises(BadBackup, match="does not say which format it has"):
        imported(new, rewritten(good, lambda parts: None, {"format": version}))
    assert untouched(new)


def test_a_header_that_is_a_book_is_refused(good: bytes, new: Ports) -> None:
    with pytest.raises(BadBackup, match="too large"):
        imported(new, rewritten(good, lambda parts: None, {"instance": "x" * 100_000}))


def test_what_is_recorded_while_a_backup_is_read_refuses_it_before_any_file_has_its_place(
    good: bytes, new: Ports
) -> None:
    archive = io.BytesIO(good)

    def read(size: int) -> bytes:
        if not new.log.head().position:
            backups.record(new, backups.beginning())
        return archive.read(size)

    with pytest.raises(Refused, match="has events already, 2"):
        restore.import_(new, read, None, lambda line: None, None, False)
    assert (new.log.head().position, files_of(new), new.keyring.data_keys()) == (2, {}, {})


def changed_row(column: str, value: object) -> Callable[[dict[str, bytes]], None]:
    """Gives the last row of the events another value, and the hash that it then has."""

    def change(parts: dict[str, bytes]) -> None:
        *rest, before, last = (json.loads(line) for line in parts["events.jsonl"].splitlines())
        last[COLUMNS.index(column)] = value
        last[-1] = row_hash(before[-1], tuple(last[:-1]))
        parts["events.jsonl"] = b"".join(canonical(row).encode() + b"\n" for row in (*rest, before, last))

    return change


HOSTILE = [
    ("type", "app.exploded", "which this Pushlog does not know"),
    ("schema", 99, "upgrade Pushlog"),
    ("id", "../../../etc/cron.d/x", "not what Pushlog writes"),
    ("id", "", "not what Pushlog writes"),
    ("correlationid", "../outside", "not what Pushlog writes"),
    ("causationid", "x\ny", "not what Pushlog writes"),
    ("subject", "a\0b", "not what Pushlog writes"),
    ("actor", 5, "not what Pushlog writes"),
    ("version", 1 << 64, "not what Pushlog writes"),
    ("version", 77, "append-only"),
    ("version", True, "not what Pushlog writes"),
    ("correlationid", "", "not what Pushlog writes"),
    ("time", "", "not what Pushlog writes"),
    ("time", "yesterday", "not what Pushlog writes"),
    ("time", "2026-01-01T00:00:00.000000", "not what Pushlog writes"),
    ("time", "2026-01-01T00:00:00.000000+14:00", "not what Pushlog writes"),
    ("time", "2026-02-31T00:00:00.000000Z", "not what Pushlog writes"),
    ("time", "2026-01-01T00:00:00.000000Z\n", "not what Pushlog writes"),
    ("time", "2026-01-01T24:00:00.000000Z", "not what Pushlog writes"),
    ("time", "0000-01-01T00:00:00.000000Z", "not what Pushlog writes"),
    ("time", "\uff12026-01-01T00:00:00.000000Z", "not what Pushlog writes"),
    ("actor", "", "which no Pushlog records"),
    ("actor", "nobody", "which no Pushlog records"),
    ("actor", "ann", "which no Pushlog records"),
    ("actor", "ann SHA256:x", "which no Pushlog records"),
    ("actor", "local SHA256:" + "a" * 43 + "\n", "which no Pushlog records"),
    ("actor", "\x1b[2J SHA256:" + "a" * 43, "which no Pushlog records"),
    ("origin", "somewhere", "which no Pushlog records"),
    ("origin", "192.0.2.7:99999", "which no Pushlog records"),
    ("origin", "192.0.2.999:1", "which no Pushlog records"),
    ("origin", "192.0.2.7:1\n", "which no Pushlog records"),
    ("source", "postgres", "which no Pushlog records"),
    ("data", "{", "with a bad"),
    ("data", "[" * 100_000, "with a bad"),
]


@pytest.mark.parametrize(("column", "value", "said"), HOSTILE)
def test_an_event_that_no_pushlog_wrote_is_refused(
    good: bytes, new: Ports, column: str, value: object, said: str
) -> None:
    with pytest.raises(BadBackup, match=said):
        imported(new, rewritten(good, changed_row(column, value)))
    assert untouched(new)


def lines_as(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[dict[str, bytes]], None]:
    def changed(parts: dict[str, bytes]) -> None:
        parts["events.jsonl"] = b"".join(change(parts["events.jsonl"].splitlines(keepends=True)))

    return changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[1:], "has no event 1"),
        (lambda lines: lines[:9] + lines[10:], "has no event 10"),
        (lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]], "has no event 10"),
        (lambda lines: [*lines[:9], lines[8], *lines[9:]], "has no event 10"),
        (lambda lines: [*lines[:9], b"\n", *lines[9:]], "not what Pushlog writes"),
        (lambda lines: [*lines[:9], b" " + lines[9], *lines[10:]], "not what Pushlog writes"),
        (lambda lines: [*lines[:9], b"[1,2]\n", *lines[9:]], "not what Pushlog writes"),
        (lambda lines: [*lines[:9], b'{"position":10}\n', *lines[9:]], "not what Pushlog writes"),
        (lambda lines: [*lines[:9], b"[" * 100_000 + b"\n", *lines[9:]], "not what Pushlog writes"),
        (lambda lines: [*lines[:9], b"\xff\xfe\n", *lines[9:]], "not what Pushlog writes"),
        (lambda lines: [*lines[:9], b"x" * (17 << 20)], "not what Pushlog writes"),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], "not what Pushlog writes"),
    ],
)
def test_lines_that_are_no_whole_log_in_order_are_refused(
    good: bytes, new: Ports, change: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    parts = contents(good)
    lines_as(change)(parts)
    out = io.BytesIO()
    writer = Writer(lambda data: out.write(data) and None, json.loads(good[512 : 512 + int(good[124:135], 8)]))
    for name, data in parts.items():
        writer.add(name, len(data), [data])
    writer.end()
    with pytest.raises(BadBackup, match=said):
        imported(new, out.getvalue())
    assert untouched(new)


def test_an_event_that_has_the_id_of_another_is_refused(old: Ports, good: bytes, new: Ports) -> None:
    with pytest.raises(BadBackup, match="append-only"):
        imported(new, rewritten(good, changed_row("id", old.log.read(7, 1)[0].id)))
    assert untouched(new)


@pytest.mark.parametrize(
    "name", ["a;id", "../a", "a\nb", "-rf", "A", "a" * 64, "a..b", "a`id`", "a.git", "", "\ud800", "\u00e9"]
)
def test_a_name_that_the_door_would_refuse_is_refused_here(good: bytes, new: Ports, name: str) -> None:
    data = canonical({"app": APP, "name": name}) if name != "\ud800" else '{"app":"' + APP + '","name":"\\ud800"}'

    def change(parts: dict[str, bytes]) -> None:
        changed_row("type", "app.created")(parts)
        changed_row("schema", 1)(parts)
        changed_row("data", data)(parts)

    with pytest.raises(BadBackup, match=r"the backup holds app\.created with a bad"):
        imported(new, rewritten(good, change))
    assert untouched(new)


def test_events_that_make_no_state_are_refused(good: bytes, new: Ports) -> None:
    def change(parts: dict[str, bytes]) -> None:
        changed_row("type", "app.destroyed")(parts)
        changed_row("data", canonical({"app": "0190a8c0-0000-7000-8000-0000000000ff", "name": "ghost"}))(parts)

    with pytest.raises(BadBackup, match="make no state"):
        imported(new, rewritten(good, change))
    assert untouched(new)


def followed(good: bytes, *drafts: Draft) -> bytes:
    """A backup whose log goes on with these events, rightly chained."""

    def change(parts: dict[str, bytes]) -> None:
        rows = [json.loads(line) for line in parts["events.jsonl"].splitlines()]
        versions = {row[COLUMNS.index("stream")]: row[COLUMNS.index("version")] for row in rows}
        more = make_rows(Head(rows[-1][0], rows[-1][-1]), versions, drafts, backups.WHO, rows[-1][8])
        parts["events.jsonl"] += b"".join(canonical(list(row)).encode() + b"\n" for row in more)

    return rewritten(good, change)


def on_app(event: Event, app: str = APP) -> Draft:
    return Draft(app_stream(app), "real", event)


def slot(**values: object) -> Slot:
    """A container whose values nobody has looked at."""
    known = {"process": "web", "number": 1, "address": "10.77.0.2", "port": 5000, "spec": "x", "made_by": APP}
    return Slot.model_construct(**{**known, "attempt": 1, **values})  # type: ignore[arg-type]


def deploy(made: Slot) -> Event:
    return DeployStarted.model_construct(app=APP, release=8, attempt=1, slots=[made])


def route(upstream: str) -> Event:
    return RoutePublished.model_construct(
        app=APP, release=8, attempt=1, hosts=[], upstreams=[upstream], replaces=7, push=""
    )


HOSTILE_VALUES = [
    FormationChanged.model_construct(app=APP, formation={"web": 10**9}),
    FormationChanged.model_construct(app=APP, formation={"web": -1}),
    route("10.0.0.1:80; } server { listen 80"),
    route("localhost:80"),
    deploy(slot(address="$(id)")),
    deploy(slot(port=-1)),
    deploy(slot(port=1 << 16)),
]


@pytest.mark.parametrize("event", HOSTILE_VALUES)
def test_what_docker_and_nginx_must_not_be_told_is_refused_though_the_chain_is_right(
    good: bytes, new: Ports, event: Event
) -> None:
    with pytest.raises(BadBackup, match=f"the backup holds {event.TYPE} with a bad"):
        imported(new, followed(good, on_app(event)))
    assert untouched(new)


IMPOSSIBLE = ["127.0.0.1", "169.254.169.254", "0.0.0.1", "224.0.0.1", "255.255.255.255", "::1", "....", "10.0.0.256"]


@pytest.mark.parametrize("address", IMPOSSIBLE)
def test_an_address_that_no_container_can_have_is_refused(good: bytes, new: Ports, address: str) -> None:
    upstream = f"[{address}]:5000" if ":" in address else f"{address}:5000"
    for event in (deploy(slot(address=address)), route(upstream)):
        with pytest.raises(BadBackup, match=r"which no Pushlog records|with a bad"):
            imported(new, followed(good, on_app(event)))
    assert untouched(new)


def test_who_and_where_any_version_recorded_is_taken() -> None:
    key = "SHA256:" + "a" * 43
    assert all(map(plausible.is_actor, ["local", "deployer", f"ann {key}", f"local {key}", f"A.b_c@d+e-f {key}"]))
    origins = ["", "local", "unknown", "unknown:0", "192.0.2.7", "192.0.2.7:58596", "[2001:db8::1]:22", "2001:db8::1"]
    assert all(map(plausible.is_origin, [*origins, "[fe80::1%eth0]:9"]))
    no_origins = ["x", "1.2.3.4:", "[1::2]", "1.2.3.4:-1", "1.2.3.4:1:1", " 1.2.3.4", "[]:1"]
    assert not any(map(plausible.is_origin, no_origins))
    assert all(map(plausible.is_containers, ["10.192.0.16", "172.24.3.4", "192.168.1.1", "203.0.113.9", "100.64.0.20"]))


SPELLINGS = [
    '{"app":"%s","attempt":1,"attempt":2}',
    '{"attempt":1,"app":"%s"}',
    '{"app": "%s","attempt":1}',
    '{"app":"%s","attempt":1.0}',
    '{"app":"%s","attempt":1e3}',
    '{"app":"%s","attempt":9223372036854775808}',
    '{"app":"%s","attempt":' + "9" * 4000 + "}",
]


@pytest.mark.parametrize("data", SPELLINGS)
def test_data_that_are_spelled_otherwise_than_a_log_spells_them_are_refused(good: bytes, new: Ports, data: str) -> None:
    def change(parts: dict[str, bytes]) -> None:
        changed_row("type", "build.started")(parts)
        changed_row("data", data.replace("%s", APP, 1))(parts)

    with pytest.raises(BadBackup, match=r"is damaged|with a bad"):
        imported(new, rewritten(good, change))
    assert untouched(new)


MEMBERS = [
    ("../../etc/cron.d/x", tarfile.REGTYPE, ""),
    ("/etc/passwd", tarfile.REGTYPE, ""),
    ("repositories/../../x.pack", tarfile.REGTYPE, ""),
    ("blobs/../../../x", tarfile.REGTYPE, ""),
    ("blobs/" + "0" * 64, tarfile.SYMTYPE, "/etc/passwd"),
    ("blobs/" + "0" * 64, tarfile.LNKTYPE, "/etc/passwd"),
    ("blobs/" + "0" * 64, tarfile.CHRTYPE, ""),
    ("blobs/" + "0" * 64, tarfile.FIFOTYPE, ""),
    ("blobs/" + "0" * 64, tarfile.DIRTYPE, ""),
    ("blobs/" + "0" * 64, tarfile.GNUTYPE_SPARSE, ""),
    ("blobs/" + "0" * 64, tarfile.XHDTYPE, ""),
    ("././@LongLink", tarfile.GNUTYPE_LONGNAME, ""),
    ("events.jsonl", tarfile.REGTYPE, ""),
    ("manifest.json", tarfile.REGTYPE, ""),
    (HEADER, tarfile.REGTYPE, ""),
]


@pytest.mark.parametrize(("name", "kind", "target"), MEMBERS)
def test_an_entry_that_no_backup_has_is_refused(good: bytes, new: Ports, name: str, kind: bytes, target: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, target, 0o600, 3
    with pytest.raises(BadBackup):
        imported(new, backups.with_entry(info, b"abc", good))
    assert untouched(new)


@pytest.mark.parametrize("size", [-1, -(1 << 40), 1 << 50, 1 << 80])
@pytest.mark.parametrize("name", ["events.jsonl", "keyring.json"])
def test_an_entry_that_says_to_be_endless_or_less_than_nothing_takes_no_room(
    good: bytes, new: Ports, size: int, name: str
) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    with pytest.raises(BadBackup if size < 0 else PushlogError):
        imported(new, backups.with_entry(info, b"", good))
    assert untouched(new)


def test_a_pack_that_is_none_or_lacks_objects_is_refused(good: bytes, new: Ports) -> None:
    pack = f"repositories/{APP}.pack"
    for data in (b"PACK" + bytes(100), contents(good)[pack][:-30], b""):
        with pytest.raises(BadBackup, match="is damaged"):
            imported(new, rewritten(good, lambda parts, data=data: parts.update({pack: data})))
    assert untouched(new)


def pack_of(*things: ShaFile) -> bytes:
    out = io.BytesIO()
    write_pack_objects(out, [(thing, None) for thing in things], DEFAULT_OBJECT_FORMAT)
    return out.getvalue()


def tree_with(name: bytes) -> list[ShaFile]:
    file, tree = Blob.from_string(b"x"), GitTree()
    tree.add(name, 0o100644, file.id)
    return [file, tree]


HOSTILE_PACKS = [
    *(pack_of(*tree_with(name)) for name in (b".git", b"..", b".", b"a/b", b".GIT", b"")),
    pack_of(*tree_with(b"x")) + b"more",
    pack_of(*tree_with(b"x"))[:-1] + b"?",
    pack_of(*tree_with(b"x")[1:]),
    b"PACK" + (2).to_bytes(4, "big") + (1 << 31).to_bytes(4, "big") + bytes(1000),
]


@pytest.mark.parametrize("git", [True, False], ids=["git", "dulwich"])
@pytest.mark.parametrize("number", range(len(HOSTILE_PACKS)))
def test_a_pack_that_a_push_could_not_bring_is_refused(
    good: bytes, new: Ports, number: int, git: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "has_git", lambda: git)
    with pytest.raises(BadBackup, match="is damaged"):
        imported(new, rewritten(good, lambda parts: parts.update({f"repositories/{APP}.pack": HOSTILE_PACKS[number]})))
    assert untouched(new)


@pytest.mark.parametrize("git", [True, False], ids=["git", "dulwich"])
def test_a_pack_that_lacks_what_a_commit_of_the_app_reaches_is_refused(
    old: Ports, good: bytes, new: Ports, git: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = [e.data.new for e in old.log.read(0, 10_000) if e.type == "push.received" and e.data.app == APP][-1]
    with repository(old.settings.home, APP).store() as store:
        commit, tree = store[last.encode()], store[store[last.encode()].tree]
    archive = rewritten(good, lambda parts: parts.update({f"repositories/{APP}.pack": pack_of(commit, tree)}))
    monkeypatch.setattr(staging, "has_git", lambda: git)
    with pytest.raises(BadBackup, match=r"missing objects|expected object"):
        imported(new, archive)
    assert untouched(new)


def test_a_blob_that_its_name_is_not_of_is_refused(good: bytes, new: Ports) -> None:
    blob = next(name for name in contents(good) if name.startswith("blobs/"))
    with pytest.raises(BadBackup, match="another one than its name says"):
        imported(new, rewritten(good, lambda parts: parts.update({blob: b"other"})))
    assert untouched(new)


@pytest.mark.parametrize("name", [f"blobs/{sha256(b'x').hexdigest()}", f"repositories/{NOBODY}.pack"])
def test_a_part_of_no_app_is_refused(good: bytes, new: Ports, name: str) -> None:
    with pytest.raises(BadBackup, match="is of no app"):
        imported(new, rewritten(good, lambda parts: parts.update({name: b"x"})))
    assert untouched(new)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"keys": 5},
        {"sealed": False},
        {"sealed": False, "keys": [[APP, "00" * 32]]},
        {"sealed": False, "keys": {"../x": "00" * 32}},
        {"sealed": False, "keys": {APP: "00"}},
        {"sealed": False, "keys": {APP: "00" * 33}},
        {"sealed": False, "keys": {APP: None}},
        {"sealed": False, "keys": {NOBODY: "00" * 32}},
        {"sealed": True, "keys": {}},
        {"sealed": True, "salt": "00", "n": 65536, "r": 8, "p": 1 << 30, "keys": {}},
    ],
)
def test_a_keyring_that_is_none_is_refused(good: bytes, new: Ports, keys: object) -> None:
    with pytest.raises(BadBackup, match="its keyring"):
        imported(new, rewritten(good, lambda parts: parts.update({"keyring.json": json.dumps(keys).encode()})))
    assert untouched(new)


def test_a_keyring_of_more_than_its_apps_could_have_is_not_even_read(good: bytes, new: Ports) -> None:
    many = b'{"sealed": false, "keys": [' + b"[]," * 100_000 + b"[]]}"
    with pytest.raises(BadBackup, match=r"keyring\.json is too large"):
        imported(new, rewritten(good, lambda parts: parts.update({"keyring.json": many})))
    assert untouched(new)


def test_the_keyring_of_many_apps_is_read(new: Ports, tmp_path: Path) -> None:
    with instance(tmp_path / "many") as parts:
        for number in range(300):
            app = f"0190a8c0-0000-7000-8000-{number:012x}"
            name = f"a{number}"
            drafts = [
                Draft(name_stream(name), name, NameTaken(app=app, name=name)),
                on_app(AppCreated(app=app, name=f"a{number}"), app),
            ]
            backups.record(parts, drafts)
            parts.keyring.seal(app, "A", "x")
        keys = parts.keyring.data_keys()
        for passphrase in ("words", None):
            assert verified(new, exported(parts, passphrase)[0], passphrase)["apps"] == len(keys) == 300


# Secrets


def test_without_a_passphrase_it_is_said_that_the_backup_is_open(old: Ports, good: bytes) -> None:
    key = old.keyring.data_keys()[APP]
    assert key.hex().encode() in good
    assert any("can read every secret" in line for line in exported(old)[1])


def test_a_passphrase_seals_the_keys_and_opens_them_again(old: Ports, new: Ports) -> None:
    archive, said = exported(old, "correct horse")
    key = old.keyring.data_keys()[APP]
    assert key.hex().encode() not in archive
    assert key not in archive
    assert not any("can read every secret" in line for line in said)
    for wrong, sentence in ((None, "is sealed; give its passphrase"), ("wrong", "another passphrase")):
        with pytest.raises(Refused, match=sentence):
            imported(new, archive, wrong)
        assert untouched(new)
    imported(new, archive, "correct horse")
    assert new.keyring.data_keys() == {APP: key}


def test_a_sealed_keyring_that_asks_for_much_work_is_refused(old: Ports, new: Ports) -> None:
    archive, _ = exported(old, "correct horse")

    def change(parts: dict[str, bytes]) -> None:
        parts["keyring.json"] = json.dumps(json.loads(parts["keyring.json"]) | {"n": 1 << 40}).encode()

    with pytest.raises(BadBackup, match="its keyring is not"):
        imported(new, rewritten(archive, change), "correct horse")


def test_a_shredded_app_is_only_its_events_in_later_backups(new: Ports) -> None:
    backups.fill(new, 1)
    assert SECRET.encode() not in exported(new)[0]
    new.keyring.shred(APP)
    backups.record(
        new, [Draft(app_stream(APP), "real", AppShredded(app=APP, name="real"))], Cause("configsvc", "local")
    )
    parts = contents(exported(new)[0])
    assert json.loads(parts["keyring.json"])["keys"] == {}
    assert set(parts) == {"events.jsonl", "keyring.json"}


def test_an_app_whose_key_is_not_in_the_backup_is_named(old: Ports, good: bytes, new: Ports) -> None:
    """An app that is shredded while it is exported is there, and its key is not any more."""

    def change(parts: dict[str, bytes]) -> None:
        parts["keyring.json"] = b'{"sealed": false, "keys": {}}'

    _, said = imported(new, rewritten(good, change))
    assert any(line.startswith("real: its key is not in the backup") for line in said)
    assert not any("real: its key" in line for line in imported_anew(good))


def imported_anew(archive: bytes) -> list[str]:
    with TemporaryDirectory() as folder, instance(Path(folder)) as parts:
        return imported(parts, archive)[1]


# While the platform works


def test_of_two_imports_at_once_one_is_refused(good: bytes, new: Ports, tmp_path: Path) -> None:
    archive, refused = io.BytesIO(good), list[str]()
    with instance(tmp_path / "second") as other:

        def read(size: int) -> bytes:
            if not refused:
                with pytest.raises(Refused, match="another import is under way") as told:
                    imported(other, good)
                refused.append(str(told.value))
            return archive.read(size)

        restore.import_(new, read, None, lambda line: None, None, False)
        assert untouched(other)
    assert len(refused) == 1
    assert new.log.head().position


@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_a_reader_of_an_export_who_dies_leaves_no_file_and_the_next_one_has_it_all(old: Ports, after: int) -> None:
    before, left = files_of(old), after

    def write(data: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        export.export(old, write, lambda line: None, None)
    assert files_of(old) == before


def test_an_export_under_load_is_as_of_its_head(new: Ports, tmp_path: Path) -> None:
    backups.fill(new, 3)
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            backups.record(new, [on_app(ConfigChanged(app=APP, unset=["NOTHING"]))])

    thread = threading.Thread(target=load)
    thread.start()
    try:
        archives_ = [exported(new)[0] for _ in range(3)]
    finally:
        done.set()
        thread.join()
    heads = []
    with instance(tmp_path / "other") as parts:
        for archive in archives_:
            answer = verified(parts, archive)
            heads.append(answer["events"])
    assert heads == sorted(heads)
    assert heads[-1] < new.log.head().position


def test_a_large_backup_is_written_and_read_in_constant_memory(new: Ports, tmp_path: Path) -> None:
    backups.fill(new, 1)
    source = next(e.data.source for e in new.log.read(0, 10_000) if e.type == "push.received" and e.data.app == APP)
    path = new.blobs.path(source)
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(96 << 20)
    size = 0

    def count(data: bytes) -> None:
        nonlocal size
        size += len(data)

    tracemalloc.start()
    export.export(new, count, lambda line: None, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    path.write_bytes(content)
    assert size > 96 << 20
    assert peak < 32 << 20


RESIDENT = """
import os, resource, sys
from cli import client
code = client.main(["backup:verify", sys.argv[1]])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def resident(archive: Path, home: Path) -> int:
    """How many bytes of memory a process, and git, took at most to verify a backup."""
    environment = {**os.environ, "PUSHLOG_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(archive)], env=environment, capture_output=True, check=True, timeout=120
    )
    return 1024 * int(done.stdout.split()[-1])


def test_a_large_backup_is_checked_in_the_memory_of_a_small_one(new: Ports, tmp_path: Path) -> None:
    backups.fill(new, 1)
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(exported(new)[0])
    source = new.blobs.put(lambda file: [file.write(bytes(1 << 20)) for _ in range(256)] and None)
    push = PushReceived(app=APP, ref=MAIN, old=None, new="1" * 40, source=source)
    backups.record(new, [on_app(push)])
    with large.open("wb") as file:
        export.export(new, lambda data: file.write(data) and None, lambda line: None, None)
    assert large.stat().st_size > 256 << 20
    assert resident(large, tmp_path / "none") - resident(small, tmp_path / "none") < 16 << 20


def test_a_part_of_another_length_than_was_said_is_a_fault_of_ours(tmp_path: Path) -> None:
    writer = archives.Writer(lambda data: None, {})
    with pytest.raises(ValueError, match="has not the 5 bytes"):
        writer.add("events.jsonl", 5, [b"1234"])


def test_the_rows_of_a_backup_are_those_of_the_log(old: Ports, good: bytes) -> None:
    lines = contents(good)["events.jsonl"].splitlines()
    assert [tuple(json.loads(line)) for line in lines] == old.log.rows(0, 10_000)
    assert AppCreated.TYPE in {json.loads(line)[4] for line in lines}
