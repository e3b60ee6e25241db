"""The keyring beside the log."""

import pytest

from services import database
from services.errors import BadInput, NotOpenable
from services.keyring import Keyring, master_key
from tests.contract.databases import KINDS, fresh_url

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
    assert master_key(path, None) == master_key(path, None)
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
