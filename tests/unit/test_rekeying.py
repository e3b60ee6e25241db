"""log:rekey, and what a start makes of one that died."""

import json
from pathlib import Path

import pytest

from gitreceiver import ports
from gitreceiver.rekeying import finish, rekey
from services import database
from services.chain import Cause
from services.errors import BadInput, Refused, Unavailable
from services.keyring import Keyring, master_key
from services.memorylog import MemoryLog
from services.platform import assemble
from services.settings import Settings
from tests.unit.story import APP

ANN = Cause("gitreceiver", "ann SHA256:x", "192.0.2.7:1", "log:rekey", "story")
OLD, NEW = "ab" * 32, "cd" * 32


class Absent(MemoryLog):
    """A log that does not take anything in while it is `away`."""

    away = False

    def append(self, drafts, cause, **checks):
        if self.away:
            raise Unavailable("the log's database is away")
        return super().append(drafts, cause, **checks)


class House:
    """The door's ports on a home, as a start builds them."""

    def __init__(self, home: Path, **given: str) -> None:
        self.settings = Settings(home=home, **given)
        self.engine = database.connect(f"sqlite:///{home}/log.sqlite")
        self.log = Absent()
        self.started()

    def started(self):
        key = self.settings.master_key
        ring = Keyring(self.engine, master_key(self.settings.home / "master.key", key and key.get_secret_value()))
        self.ports = ports.build(assemble(self.settings, self.log, ring, "holder"))
        return ring


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def kept(tmp_path):
    """One whose master key the operator keeps."""
    made = House(tmp_path, master_key=OLD)
    yield made
    made.engine.dispose()


def nobody():
    """Where the key is a file nothing is read."""
    raise AssertionError


def recorded(house):
    return [(event.type, event.actor, event.command, event.data.keys) for event in house.log.read()]


def test_it_says_how_many_keys_there_are_and_is_recorded(house):
    house.ports.keyring.seal(APP, "TOKEN", "canary")
    before = (house.settings.home / "master.key").read_text()
    assert rekey(house.ports, ANN, nobody) == {"given": False, "keys": 1}
    assert recorded(house) == [("keyring.rekeyed", ANN.actor, "log:rekey", 1)]
    now = (house.settings.home / "master.key").read_text()
    assert before != now
    told = json.dumps(house.log._rows)
    assert before not in told
    assert now not in told


def test_a_start_ends_what_died_in_the_middle(house):
    sealed = house.ports.keyring.seal(APP, "TOKEN", "canary")
    house.log.away = True
    with pytest.raises(Unavailable):
        rekey(house.ports, ANN, nobody)
    house.log.away = False
    ring = house.started()
    assert ring.open(APP, "TOKEN", sealed) == "canary"
    finish(house.ports)
    assert recorded(house) == [("keyring.rekeyed", "gitreceiver", "", 1)]
    assert [path.name for path in house.settings.home.glob("*master*")] == ["master.key"]
    finish(house.ports)
    assert len(house.log.read()) == 1
    assert house.started().open(APP, "TOKEN", sealed) == "canary"


def test_a_key_that_the_operator_keeps_comes_from_stdin(kept):
    sealed = kept.ports.keyring.seal(APP, "TOKEN", "canary")
    assert rekey(kept.ports, ANN, f"{NEW}\n".encode) == {"given": True, "keys": 1}
    assert kept.ports.keyring.open(APP, "TOKEN", sealed) == "canary"
    assert list(kept.settings.home.glob("*master*")) == []
    assert NEW not in json.dumps(kept.log._rows)


def test_a_kept_key_whose_rotation_could_not_be_recorded_is_given_again_and_is_recorded(kept):
    sealed = kept.ports.keyring.seal(APP, "TOKEN", "canary")
    kept.log.away = True
    with pytest.raises(Unavailable):
        rekey(kept.ports, ANN, NEW.encode)
    kept.log.away = False
    assert kept.ports.keyring.open(APP, "TOKEN", sealed) == "canary"
    assert rekey(kept.ports, ANN, NEW.encode) == {"given": True, "keys": 1}
    assert recorded(kept) == [("keyring.rekeyed", ANN.actor, "log:rekey", 1)]
    assert Keyring(kept.engine, bytes.fromhex(NEW)).open(APP, "TOKEN", sealed) == "canary"


@pytest.mark.parametrize("given", ["", "xyz", "ef" * 31, "ef" * 33, " ".join(["ef"] * 32)])
def test_what_is_no_new_key_is_refused_without_being_shown(kept, given):
    kept.ports.keyring.seal(APP, "TOKEN", "canary")
    with pytest.raises(BadInput, match=r"^stdin: .*64 hexadecimal digits$") as refused:
        rekey(kept.ports, ANN, given.encode)
    assert "ef" not in str(refused.value).replace("hexadecimal", "")
    assert kept.log.read() == []


def test_where_nothing_is_sealed_a_kept_key_is_only_replaced(kept):
    with pytest.raises(Refused, match="set PUSHLOG_MASTER_KEY to another key and restart"):
        rekey(kept.ports, ANN, NEW.encode)
