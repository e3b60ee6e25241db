"""The keyring beside the log."""

import threading
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services import database
from services.errors import BadInput, NotOpenable, Refused
from services.events import AppShredded
from services.keyring import Forgetting, Keyring, master_key
from services.tables import keyring
from tests.contract.databases import KINDS, fresh_url
from tests.unit.story import Story

APP = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
MASTER = bytes(range(32))


@pytest.fixture(params=KINDS)
def engine(request, tmp_path):
    with fresh_url(request.param, tmp_path) as url:
        engine = database.connect(url)
        yield engine
        engine.dispose()


def test_a_sealed_value_opens_again_and_does_not_show_itself(engine):
    ring = Keyring(engine, MASTER)
    sealed = ring.seal(APP, "TOKEN", "canary ✓\n")
    assert "canary" not in sealed
    assert ring.open(APP, "TOKEN", sealed) == "canary ✓\n"


def test_a_sealed_value_opens_after_a_restart(engine):
    sealed = Keyring(engine, MASTER).seal(APP, "TOKEN", "canary")
    assert Keyring(engine, MASTER).open(APP, "TOKEN", sealed) == "canary"


def test_the_same_value_is_sealed_differently_each_time(engine):
    ring = Keyring(engine, MASTER)
    assert ring.seal(APP, "TOKEN", "x") != ring.seal(APP, "TOKEN", "x")


@pytest.mark.parametrize(("app", "name"), [(OTHER, "TOKEN"), (APP, "OTHER")])
def test_a_sealed_value_that_was_moved_does_not_open(engine, app, name):
    ring = Keyring(engine, MASTER)
    with pytest.raises(NotOpenable, match=name):
        ring.open(app, name, ring.seal(APP, "TOKEN", "canary"))


@pytest.mark.parametrize("damaged", ["", "AAAA", "not base64 ✗", "A" * 64])
def test_a_damaged_value_does_not_open(engine, damaged):
    with pytest.raises(NotOpenable, match="does not open"):
        Keyring(engine, MASTER).open(APP, "TOKEN", damaged)


def test_another_master_key_is_said_to_be_another(engine):
    sealed = Keyring(engine, MASTER).seal(APP, "TOKEN", "canary")
    with pytest.raises(NotOpenable, match="master key"):
        Keyring(engine, bytes(32)).open(APP, "TOKEN", sealed)


def test_what_a_shredded_key_sealed_never_opens_again(engine):
    ring = Keyring(engine, MASTER)
    sealed = ring.seal(APP, "TOKEN", "canary")
    ring.shred(APP)
    with pytest.raises(NotOpenable):
        ring.open(APP, "TOKEN", sealed)


def test_the_master_key_is_made_once_for_its_owner_only(tmp_path):
    path = tmp_path / "master.key"
    assert not path.exists()
    assert master_key(path, None).current() == master_key(path, None).current()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("bad", ["", "xyz", "ab" * 31, "ab" * 33])
def test_a_bad_master_key_is_refused_without_being_shown(tmp_path, bad):
    with pytest.raises(BadInput, match="64 hexadecimal digits") as refused:
        master_key(tmp_path / "master.key", bad)
    assert not bad or bad not in str(refused.value)


def test_a_value_that_no_process_can_be_given_is_not_sealed(engine):
    with pytest.raises(BadInput, match="TOKEN has a NUL byte") as refused:
        Keyring(engine, MASTER).seal(APP, "TOKEN", "canary\0")
    assert "canary" not in str(refused.value)


# rotating the master key


class Died(Exception):
    """The process died here."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "master.key"


def rotate(ring):
    """All of it."""
    keys = ring.rotate(None)
    ring.settle()
    return keys


def dying(ring, at, monkeypatch):
    """Have the process die before the transaction, in its middle, or before the file takes its place."""

    def die(*_):
        raise Died

    if at == "before the transaction":
        monkeypatch.setattr(ring, "_lock", die)
    elif at == "in its middle":
        wraps = iter([ring.wrap, die])
        monkeypatch.setattr(ring, "wrap", lambda *words: next(wraps)(*words))
    elif at == "before it is settled":
        monkeypatch.setattr(ring._master, "settle", die)


def test_another_master_key_opens_what_was_sealed_before_and_the_old_one_nothing(engine, path):
    ring = Keyring(engine, master_key(path, None))
    sealed = {app: ring.seal(app, "TOKEN", f"canary of {app}") for app in (APP, OTHER)}
    old = master_key(path, None).current()
    assert ring.rotate(None) == 2
    ring.settle()
    assert ring.open(APP, "TOKEN", sealed[APP]) == f"canary of {APP}"
    again = Keyring(engine, master_key(path, None))
    assert again.open_all(APP, {"TOKEN": sealed[APP]}) == {"TOKEN": f"canary of {APP}"}
    assert again.open(OTHER, "TOKEN", sealed[OTHER]) == f"canary of {OTHER}"
    with pytest.raises(NotOpenable, match="master key"):
        Keyring(engine, old).open(APP, "TOKEN", sealed[APP])
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.glob("*master*")] == ["master.key"]


@pytest.mark.parametrize("at", ["before the transaction", "in its middle", "before it is settled"])
def test_wherever_a_rotation_dies_everything_opens_and_the_next_one_ends_it(engine, path, at, monkeypatch):
    ring = Keyring(engine, master_key(path, None))
    sealed = {app: ring.seal(app, "TOKEN", f"canary of {app}") for app in (APP, OTHER)}
    dying(ring, at, monkeypatch)
    with pytest.raises(Died):
        rotate(ring)
    begun = path.with_name("master.key.new").read_bytes()
    assert path.with_name("master.key.new").stat().st_mode & 0o777 == 0o600

    started = Keyring(engine, master_key(path, None))
    assert started.unsettled()
    third = "00000000-0000-4000-8000-000000000003"
    sealed[third] = started.seal(third, "TOKEN", f"canary of {third}")
    assert all(started.open(app, "TOKEN", text) == f"canary of {app}" for app, text in sealed.items())
    assert started.rotate(None) == 3
    started.settle()
    assert not started.unsettled()
    assert path.read_bytes() == begun
    last = Keyring(engine, master_key(path, None))
    assert all(last.open(app, "TOKEN", text) == f"canary of {app}" for app, text in sealed.items())


def test_a_process_that_knows_the_key_before_takes_up_the_new_one(engine, path):
    here, there = (Keyring(engine, master_key(path, None)) for _ in range(2))
    sealed = here.seal(APP, "TOKEN", "canary")
    there.seal(OTHER, "TOKEN", "x")
    here.rotate(None)
    here.settle()
    assert there.open(APP, "TOKEN", sealed) == "canary"
    third = "00000000-0000-4000-8000-000000000003"
    made = there.seal(third, "TOKEN", "canary too")
    assert here.open(third, "TOKEN", made) == "canary too"


def test_what_is_sealed_while_keys_are_rotated_opens_for_ever(engine, path):
    """Data keys do not change, and none is made under a master key that goes."""
    sealed, over = {}, threading.Event()

    def seal():
        ring = Keyring(engine, master_key(path, None))
        while not over.is_set():
            app = str(uuid4())
            sealed[app] = ring.seal(app, "TOKEN", app)

    threads = [threading.Thread(target=seal) for _ in range(2)]
    for thread in threads:
        thread.start()
    ring = Keyring(engine, master_key(path, None))
    try:
        for done in range(1, 9):
            while len(sealed) < 4 * done:
                assert any(thread.is_alive() for thread in threads)
            ring.rotate(None)
            ring.settle()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    fresh = Keyring(engine, master_key(path, None))
    assert all(fresh.open(app, "TOKEN", text) == app for app, text in sealed.items())


def test_what_somebody_else_has_begun_since_is_not_put_in_place(engine, path):
    one, two = (Keyring(engine, master_key(path, None)) for _ in range(2))
    sealed = one.seal(APP, "TOKEN", "canary")
    one.rotate(None)
    two.rotate(None)
    two.settle()
    two._master.begin(None)
    one.settle()
    assert Keyring(engine, master_key(path, None)).open(APP, "TOKEN", sealed) == "canary"
    assert two.unsettled()


def test_a_key_that_the_operator_keeps_is_rotated_to_the_one_they_give(engine):
    ring = Keyring(engine, MASTER)
    with pytest.raises(Refused, match="nothing is sealed yet"):
        ring.rotate(bytes(32))
    sealed = ring.seal(APP, "TOKEN", "canary")
    with pytest.raises(BadInput, match="is the master key already"):
        ring.rotate(MASTER)
    assert ring.rotate(bytes(32)) == 1
    ring.settle()
    assert ring.open(APP, "TOKEN", sealed) == Keyring(engine, bytes(32)).open(APP, "TOKEN", sealed) == "canary"
    late = Keyring(engine, MASTER)
    with pytest.raises(NotOpenable, match="master key"):
        late.seal(OTHER, "TOKEN", "would be lost")


def test_a_kept_key_that_failed_to_take_its_place_wraps_nothing_and_another_or_the_same_can(engine, monkeypatch):
    ring = Keyring(engine, MASTER)
    sealed = ring.seal(APP, "TOKEN", "canary")
    for failing in (bytes(32), b"\1" * 32):
        with monkeypatch.context() as patched:
            dying(ring, "before the transaction", patched)
            with pytest.raises(Died):
                ring.rotate(failing)
        made = str(uuid4())
        assert Keyring(engine, MASTER).open(made, "TOKEN", ring.seal(made, "TOKEN", "x")) == "x"
    assert ring.rotate(bytes(32)) == 3
    ring.settle()
    assert Keyring(engine, bytes(32)).open(APP, "TOKEN", sealed) == "canary"
    with pytest.raises(BadInput, match="is the master key already"):
        ring.rotate(bytes(32))


def test_all_data_keys_are_had_while_the_master_key_is_rotated(engine, path, monkeypatch):
    """The table is looked at before the file is: an export in between finds a key that both no longer fit."""
    here, there = (Keyring(engine, master_key(path, None)) for _ in range(2))
    here.seal(APP, "TOKEN", "canary")
    known, rotations = here._master.known, iter([there])

    def late():
        for ring in rotations:
            rotate(ring)
        return known()

    keys = there.data_keys()
    monkeypatch.setattr(here._master, "known", late)
    assert here.data_keys() == keys


def test_a_master_key_that_is_another_one_makes_no_data_key(engine, path):
    Keyring(engine, MASTER).seal(APP, "TOKEN", "canary")
    with pytest.raises(NotOpenable, match="master key"):
        Keyring(engine, bytes(32)).seal(OTHER, "TOKEN", "x")
    with pytest.raises(NotOpenable, match="master key"):
        Keyring(engine, master_key(path, None)).seal(OTHER, "TOKEN", "x")
    assert not path.exists()


def test_no_master_key_is_made_by_who_opens_nothing(engine, path):
    ring = Keyring(engine, master_key(path, None))
    ring.shred(APP)
    with pytest.raises(NotOpenable):
        ring.open(APP, "TOKEN", "A" * 64)
    assert not path.exists()


def test_what_another_process_shredded_is_forgotten_when_its_event_comes(engine):
    here, there = Keyring(engine, MASTER), Keyring(engine, MASTER)
    sealed = there.seal(APP, "TOKEN", "canary")
    here.shred(APP)
    Forgetting(there).evolve(Story().record(AppShredded(app=APP, name="hello")))
    with pytest.raises(NotOpenable):
        there.open(APP, "TOKEN", sealed)


def test_of_a_shredded_key_no_bytes_are_left_in_the_file(tmp_path):
    engine = database.connect(f"sqlite:///{tmp_path}/log.sqlite")
    ring = Keyring(engine, MASTER)
    ring.seal(APP, "TOKEN", "canary")
    ring.seal(OTHER, "TOKEN", "canary")
    with engine.begin() as connection:
        wrapped = dict(connection.execute(sa.select(keyring)).all())
    ring.shred(APP)
    found = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert wrapped[OTHER] in found
    assert wrapped[APP] not in found
    ring.rotate(bytes(32))
    assert wrapped[OTHER] not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    engine.dispose()


@pytest.mark.parametrize("bad", ["", "xyz", "ab" * 31, "é"])
def test_a_file_that_is_no_master_key_is_named_and_not_shown(path, bad):
    path.write_bytes(bad.encode("latin-1"))
    with pytest.raises(BadInput, match=r"master\.key: not a master key; allowed are 64 hexadecimal digits$"):
        master_key(path, None).known()
