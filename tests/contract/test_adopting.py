"""An empty log becomes another one, whole or not at all, whatever keeps it."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from services import database
from services.chain import GENESIS, PAGE, Cause, Draft, Head, Row, row_hash
from services.errors import BrokenLog, Refused
from services.eventlog import SqlLog
from services.events import AppCreated
from services.keyring import KEY_BYTES, Keyring
from services.tables import events, keyring
from tests import fleet
from tests.contract.databases import KINDS, fresh_url
from tests.contract.test_eventlog import APP, log  # noqa: F401

MANY = 2 * PAGE + 7
MASTER, OTHER = b"m" * KEY_BYTES, b"o" * KEY_BYTES


def rows(many: int = MANY) -> list[Row]:
    return list(islice(fleet.rows(Random(1)), many))


def test_the_log_is_the_one_that_the_rows_are(log: SqlLog) -> None:  # noqa: F811
    adopted = rows()
    assert log.adopt(iter(adopted), {}) == Head(MANY, adopted[-1][-1]) == log.head()
    assert [tuple(row) for row in (*log.rows(0), *log.rows(PAGE), *log.rows(2 * PAGE))] == adopted


def test_what_is_appended_afterwards_follows_from_it(log: SqlLog) -> None:  # noqa: F811
    adopted = rows()
    log.adopt(iter(adopted), {})
    [recorded] = log.append([Draft("name/new", "new", AppCreated(app=APP, name="new"))], Cause("configsvc", "local"))
    assert recorded.position == MANY + 1
    assert recorded.hash == row_hash(adopted[-1][-1], log.rows(MANY)[0][:-1])
    known = {row[2]: row[3] for row in adopted}
    [again] = log.append([Draft(adopted[0][2], "a", AppCreated(app=APP, name="a"))], Cause("configsvc", "local"))
    assert again.version == known[adopted[0][2]] + 1


def test_a_log_that_has_events_is_left_as_it_is(log: SqlLog) -> None:  # noqa: F811
    log.append([Draft("name/new", "new", AppCreated(app=APP, name="new"))], Cause("configsvc", "local"))
    before = log.head()
    with pytest.raises(Refused, match="has events already, 1;"):
        log.adopt(iter(rows()), {})
    assert log.head() == before


def damaged(adopted: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    last = adopted[-1]
    yield "has no event 2007", [*adopted[:-2], last]
    yield "2007 was changed", [*adopted[:-1], (*last[:10], "another actor", *last[11:])]
    yield "no event 1", adopted[1:]


@pytest.mark.parametrize("number", range(3))
def test_rows_that_do_not_follow_from_one_another_leave_it_empty(log: SqlLog, number: int) -> None:  # noqa: F811
    adopted = rows()
    said, bad = list(damaged(adopted))[number]
    with pytest.raises(BrokenLog, match=said.replace("2007", str(MANY - (number == 0)))):
        log.adopt(iter(bad), {})
    assert log.head() == Head(0, GENESIS)
    assert log.adopt(iter(adopted), {}).position == MANY


def test_an_end_in_the_middle_leaves_it_empty(log: SqlLog) -> None:  # noqa: F811
    def cut_off() -> Iterator[Row]:
        yield from rows(PAGE + 1)
        raise OSError("the disk went")

    with pytest.raises(OSError, match="the disk went"):
        log.adopt(cut_off(), {})
    assert log.head() == Head(0, GENESIS)
    assert log.rows() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_version_that_does_not_follow_within_its_stream_is_refused(kind: str, tmp_path: Path) -> None:
    [first, *_] = rows(1)
    wrong = (*first[:3], 2, *first[4:-1])
    with fresh_url(kind, tmp_path) as url:
        engine = database.connect(url)
        with pytest.raises(BrokenLog):
            SqlLog(engine).adopt(iter([(*wrong, row_hash(GENESIS, wrong))]), {})
        assert SqlLog(engine).head() == Head(0, GENESIS)
        engine.dispose()


@pytest.mark.parametrize("kind", KINDS)
def test_the_keys_come_with_the_events_or_not_at_all(kind: str, tmp_path: Path) -> None:
    with fresh_url(kind, tmp_path) as url:
        engine = database.connect(url)
        before, after = Keyring(engine, OTHER), Keyring(engine, MASTER)
        sealed = before.seal(APP, "TOKEN", "secret")
        keys = before.data_keys()
        wrapped = {app: after.wrap(app, key) for app, key in keys.items()}
        with pytest.raises(BrokenLog):
            SqlLog(engine).adopt(iter(rows()[1:]), wrapped)
        assert before.data_keys() == keys
        SqlLog(engine).adopt(iter(rows()), wrapped)
        assert after.data_keys() == keys
        assert Keyring(engine, MASTER).open(APP, "TOKEN", sealed) == "secret"
        with engine.begin() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(keyring)) == 1
            assert connection.scalar(sa.select(sa.func.count()).select_from(events)) == MANY
        engine.dispose()
