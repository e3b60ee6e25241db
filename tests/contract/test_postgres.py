"""What only PostgreSQL can show: roles and rights, unsafe servers, servers that end, hang or come back."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from services import chain, database, past, postgres
from services.chain import Cause, Draft
from services.errors import BrokenLog, Unavailable
from services.eventlog import TAIL, Lease, SqlLog, open_log
from services.events import BuildStarted
from services.keyring import Keyring
from tests.contract.databases import prepared
from tests.contract.test_sqlite import TAMPERED, rechained
from tests.postgres import Database, Server, server

APP = "0190a8c0-0000-7000-8000-000000000001"
CAUSE = Cause("builder", "local")


@pytest.fixture
def made() -> Iterator[Database]:
    with prepared() as made:
        yield made


@pytest.fixture
def reopen(made: Database) -> Iterator[Callable[..., SqlLog]]:
    """Opens the log anew whenever it is called, as another process would."""
    engines: list[sa.Engine] = []

    def opened(clock: Callable[[], str] = chain.now) -> SqlLog:
        engines.append(database.connect(made.url))
        return SqlLog(engines[-1], clock)

    yield opened
    for engine in engines:
        engine.dispose()


@cache
def own_server() -> Server:
    """A server that the tests of this file may end, stop and restart."""
    return Server()


@pytest.fixture
def own() -> Iterator[tuple[Server, Database]]:
    """That server with a prepared database of its own."""
    running = own_server()
    with running.database() as made:
        database.prepare(made.owner_url, made.url)
        yield running, made


@contextmanager
def opened(url: str) -> Iterator[SqlLog]:
    log, engine = open_log(url)
    try:
        yield log
    finally:
        engine.dispose()


def draft(attempt: int = 1, stream: str = "app/1") -> Draft:
    return Draft(stream, "blog", BuildStarted(app=APP, attempt=attempt))


def fill(log: SqlLog, events: int) -> None:
    log.append([draft(n) for n in range(1, events + 1)], CAUSE)


def refused(url: str) -> str:
    """Why a log at a URL is not opened."""
    with pytest.raises((BrokenLog, Unavailable)) as error:
        open_log(url)
    return str(error.value)


# Unsafe servers


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_keep_what_it_acknowledged_is_refused(setting: str) -> None:
    unsafe = Server(f"{setting} = off")
    said = f"PostgreSQL runs with .*{setting}=off.*; the log needs each to be on"
    with unsafe.database() as made, pytest.raises(BrokenLog, match=said):
        database.prepare(made.owner_url, made.url)
    unsafe.remove()


@pytest.mark.parametrize("level", ["server", "database", "application role"])
def test_commits_that_do_not_wait_for_the_disk_are_refused(own: tuple[Server, Database], level: str) -> None:
    running, made = own
    whose = {"server": "SYSTEM", "database": f"DATABASE {made.name}", "application role": f"ROLE {made.role}"}[level]
    running.execute(f"ALTER {whose} SET synchronous_commit = off")
    running.execute("SELECT pg_reload_conf()")
    try:
        assert "synchronous_commit=off; the log needs each to be on" in refused(made.url)
    finally:
        running.execute(f"ALTER {whose} RESET synchronous_commit")
        running.execute("SELECT pg_reload_conf()")


def test_a_server_that_is_made_unsafe_while_we_run_does_not_make_our_sessions_so(
    made: Database, reopen: Callable[..., SqlLog]
) -> None:
    log = reopen()
    fill(log, 1)
    server().execute(f"ALTER DATABASE {made.name} SET synchronous_commit = off")
    fill(log, 1)  # the session that was safe when it began
    end_sessions(made)
    with pytest.raises(BrokenLog, match="synchronous_commit=off"):
        log.append([draft()], CAUSE)
    assert server().execute("SELECT count(*) FROM events", made.name) == [(2,)]


def test_an_encoding_that_cannot_hold_every_text_is_refused() -> None:
    with server().database() as made:
        server().execute(f"DROP DATABASE {made.name}")
        server().execute(
            f"CREATE DATABASE {made.name} OWNER {made.owner} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
        )
        with pytest.raises(BrokenLog, match="the encoding SQL_ASCII; the log needs UTF8"):
            database.prepare(made.owner_url, made.url)


# Roles


def test_a_database_that_was_not_prepared_is_refused() -> None:
    with server().database() as made:
        assert refused(made.url) == "the log's database is not prepared; run: pushlog prepare"


def test_preparing_again_changes_nothing_even_while_others_append(
    made: Database, reopen: Callable[..., SqlLog]
) -> None:
    log = reopen()
    fill(log, 3)
    done = threading.Event()

    def append() -> None:
        while not done.is_set():
            log.append([draft()], CAUSE)

    thread = threading.Thread(target=append)
    thread.start()
    preparing = [threading.Thread(target=database.prepare, args=(made.owner_url, made.url)) for _ in range(3)]
    for each in preparing:
        each.start()
    for each in preparing:
        each.join()
    done.set()
    thread.join()
    position = log.head().position
    assert position > 3
    assert reopen().head().position == position


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("ALTER ROLE {role} SUPERUSER", "is a superuser"),
        ("ALTER TABLE events OWNER TO {role}", "owns the log's tables"),
        ("GRANT {owner} TO {role}", "owns the log's tables"),
        ("ALTER DATABASE {name} OWNER TO {role}", "owns the log's schema"),
        ("GRANT UPDATE ON events TO {role}", "may change what was recorded"),
        ("GRANT UPDATE (actor) ON events TO {role}", "may change what was recorded"),
        ("GRANT DELETE ON events TO PUBLIC", "may change what was recorded"),
        ("GRANT TRUNCATE ON events TO {role}", "may change what was recorded"),
    ],
)
def test_a_role_that_could_change_what_was_recorded_is_refused(
    own: tuple[Server, Database], given: str, why: str
) -> None:
    running, made = own
    running.execute(given.format(role=made.role, owner=made.owner, name=made.name), made.name)
    assert refused(made.url) == (
        f"the role {made.role} {why}; the log needs one of its own in PUSHLOG_LOG_URL, then run: pushlog prepare"
    )


def test_the_owner_is_no_role_to_append_with(made: Database) -> None:
    assert f"the role {made.owner} owns the log's tables" in refused(made.owner_url)
    with pytest.raises(BrokenLog, match="owns the log's tables"):
        database.prepare(made.owner_url, made.owner_url)


def test_a_log_is_not_prepared_for_a_role_that_is_not_there(made: Database) -> None:
    with pytest.raises(BrokenLog, match="the database has no role nobody; make it with: CREATE ROLE"):
        database.prepare(made.owner_url, made.url.replace(made.role, "nobody"))


def test_only_the_owner_prepares(made: Database) -> None:
    with pytest.raises(BrokenLog, match=r"the log's database cannot be used: .*(permission denied|must be owner)"):
        database.prepare(made.url, made.url)


def test_the_keyring_can_be_shredded_by_the_application(made: Database) -> None:
    engine = database.connect(made.url)
    ring = Keyring(engine, bytes(32))
    sealed = ring.seal(APP, "TOKEN", "canary")
    assert Keyring(engine, bytes(32)).open(APP, "TOKEN", sealed) == "canary"
    ring.shred(APP)
    assert server().execute("SELECT * FROM keyring", made.name) == []
    engine.dispose()


# Append-only


def like_the_second(**changed: object) -> str:
    """A query for the second event's row with some columns changed."""
    columns = [repr(changed[name]) if name in changed else name for name in (*chain.COLUMNS, "hash")]
    return f"SELECT {', '.join(columns)} FROM events WHERE position = 2"  # noqa: S608


CHANGES = [
    "UPDATE events SET actor = 'nobody'",
    "UPDATE events SET actor = 'nobody' WHERE false",
    "DELETE FROM events",
    "DELETE FROM events WHERE position = 3",
    "TRUNCATE events",
    "TRUNCATE events CASCADE",
    f"INSERT INTO events {like_the_second()} ON CONFLICT (position) DO UPDATE SET subject = 'forged'",
]
WRONG_ROWS = [
    like_the_second(position=5, id="new", version=4),
    like_the_second(position=0, id="new", version=4),
    like_the_second(position=-1, id="new", version=4),
    like_the_second(position=4, id="new", version=9),
    like_the_second(position=4, id="new", version=0),
    like_the_second(position=4, id="new", stream="other", version=2),
    like_the_second(position=4, version=4),
    like_the_second(id="new", version=4),
    like_the_second(position=4, id="new"),
]


@pytest.mark.parametrize("statement", CHANGES)
def test_no_statement_of_the_application_changes_an_event(
    made: Database, reopen: Callable[..., SqlLog], statement: str
) -> None:
    before = filled(reopen)
    with psycopg.connect(made.url) as foreign, pytest.raises(psycopg.errors.InsufficientPrivilege):
        foreign.execute(statement.encode())
    assert reopen().read() == before


@pytest.mark.parametrize("statement", CHANGES)
def test_no_statement_of_the_owner_changes_an_event(
    made: Database, reopen: Callable[..., SqlLog], statement: str
) -> None:
    before = filled(reopen)
    with psycopg.connect(made.owner_url) as foreign, pytest.raises(psycopg.Error, match="the log is append-only"):
        foreign.execute(statement.encode())
    assert reopen().read() == before


@pytest.mark.parametrize("whose", ["application", "owner"])
@pytest.mark.parametrize("row", WRONG_ROWS)
def test_no_event_is_recorded_anywhere_but_at_the_end(
    made: Database, reopen: Callable[..., SqlLog], row: str, whose: str
) -> None:
    before = filled(reopen)
    url = made.url if whose == "application" else made.owner_url
    with psycopg.connect(url) as foreign:
        foreign.execute("CREATE TEMP TABLE appended AS SELECT * FROM events")  # names that a guard might fall for
        foreign.execute("SET search_path = pg_temp, public")
        with pytest.raises(psycopg.errors.IntegrityError):
            foreign.execute(f"INSERT INTO public.events {row}".encode())
    assert reopen().read() == before


def test_the_application_can_neither_drop_the_guards_nor_switch_them_off(
    made: Database, reopen: Callable[..., SqlLog]
) -> None:
    filled(reopen)
    for statement in [
        "DROP TRIGGER events_never_changed ON events",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "DROP TABLE events",
        "CREATE OR REPLACE FUNCTION public.events_never_changed() RETURNS trigger LANGUAGE sql AS ''",
        "DELETE FROM head",
        "UPDATE meta SET schema_version = 2",
        "UPDATE keyring SET app = 'another'",
    ]:
        with psycopg.connect(made.url) as foreign, pytest.raises(psycopg.Error):
            foreign.execute(statement.encode())


def filled(reopen: Callable[..., SqlLog]) -> list[Any]:
    log = reopen()
    fill(log, 3)
    return log.read()


def tamper(made: Database, *statements: str) -> None:
    """As the superuser, whom no trigger stops."""
    script = "; ".join(["SET session_replication_role = replica", *statements])
    server().execute(script, made.name)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE events SET actor = 'nobody' WHERE position = 143", "event 143 was changed"),
        ("UPDATE events SET data = data || ' ' WHERE position = 150", "event 150 was changed"),
        ("DELETE FROM events WHERE position = 145", "no event 145"),
        ("DELETE FROM events WHERE position = 150", "head is 150, but its last event is 149"),
        ("TRUNCATE events", "head is 150, but its last event is 0"),
        ("UPDATE head SET position = 151", "head is 151, but its last event is 150"),
        ("UPDATE head SET hash = 'ff'", "event 150 is not the one that its head names"),
        ("DELETE FROM head", "lost its head"),
        ("DELETE FROM meta", "events and no schema version"),
        ("UPDATE meta SET schema_version = 2", "has schema 2, newer than this Pushlog's 1; upgrade Pushlog"),
        ("ALTER TABLE events DISABLE TRIGGER events_only_next", "triggers are not there; run: pushlog prepare"),
        ("DROP TRIGGER events_never_changed ON events", "triggers are not there; run: pushlog prepare"),
    ],
)
def test_a_log_that_was_tampered_with_is_not_opened(
    made: Database, reopen: Callable[..., SqlLog], statement: str, found: str
) -> None:
    fill(reopen(), TAIL + 50)
    tamper(made, statement)
    assert found in refused(made.url)


@pytest.mark.parametrize(("statement", "bad", "said"), TAMPERED)
def test_verifying_names_the_first_event_that_foreign_hands_were_at_while_it_was_open(
    made: Database, reopen: Callable[..., SqlLog], statement: str, bad: int, said: str
) -> None:
    log = reopen()
    fill(log, 20)
    tamper(made, statement)
    *_, found = past.verify(log)
    assert (found.bad, said in (found.wrong or "")) == (bad, True), found.wrong


def test_a_tail_that_was_written_anew_and_fits_shows_only_against_a_head_noted_elsewhere(
    made: Database, reopen: Callable[..., SqlLog]
) -> None:
    log = reopen()
    fill(log, 20)
    noted = log.head()
    tamper(made, *rechained(log, 11))
    *_, found = past.verify(reopen())
    assert (found.wrong, found.head.position) == (None, 20)
    *_, found = past.verify(log, noted)
    assert (found.bad, found.wrong) == (20, "the log's event 20 is not the one of the head that was noted")


def test_nothing_is_appended_to_a_log_whose_head_was_set_back_while_it_was_open(
    made: Database, reopen: Callable[..., SqlLog]
) -> None:
    log = reopen()
    fill(log, 3)
    tamper(made, "UPDATE head SET position = 2")
    with pytest.raises(BrokenLog, match="the log's database cannot be used: duplicate key"):
        log.append([draft()], CAUSE, claim=Lease("w", "one", 1))
    assert log.leases() == {}


def test_a_guard_that_was_dropped_or_forged_is_put_right_by_preparing(
    made: Database, reopen: Callable[..., SqlLog]
) -> None:
    before = filled(reopen)
    server().execute("DROP TRIGGER events_never_changed ON events", made.name)
    server().execute(
        "CREATE OR REPLACE FUNCTION events_only_next() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        made.name,
    )
    database.prepare(made.owner_url, made.url)
    for statement in ("DELETE FROM events", f"INSERT INTO events {WRONG_ROWS[0]}"):
        with psycopg.connect(made.owner_url) as foreign, pytest.raises(psycopg.Error, match="the log is append-only"):
            foreign.execute(statement.encode())
    assert reopen().read() == before


# Faults


def test_a_session_that_is_ended_in_the_middle_of_an_append_leaves_nothing_and_the_next_call_has_a_new_one(
    made: Database, reopen: Callable[..., SqlLog]
) -> None:
    ending = [True]

    def clock() -> str:
        if ending.pop() if ending else False:
            end_sessions(made)
        return chain.now()

    log, again = reopen(clock), draft()
    with pytest.raises(Unavailable, match="the log's database: terminating connection due to administrator command"):
        log.append([draft(), again], CAUSE, claim=Lease("w", "one", 1))
    assert (log.head().position, log.leases()) == (0, {})
    assert log.append([again], CAUSE)[0].position == 1


def end_sessions(made: Database) -> None:
    """Returns when they are gone."""
    sessions = f"pg_stat_activity WHERE usename = '{made.role}'"
    assert server().execute(f"SELECT pg_terminate_backend(pid, 5000) FROM {sessions}")  # noqa: S608


def test_an_idle_session_that_was_ended_is_replaced_and_nobody_notices(
    made: Database, reopen: Callable[..., SqlLog]
) -> None:
    log = reopen()
    for position in range(1, 4):
        assert log.append([draft()], CAUSE)[0].position == position
        end_sessions(made)


def test_a_server_that_is_down_is_unavailable_in_a_sentence_without_a_password_and_is_back_by_itself(
    own: tuple[Server, Database],
) -> None:
    running, made = own
    password = made.url.split(":")[2].partition("@")[0]
    with opened(made.url) as log:
        fill(log, 1)
        running.stop()
        try:
            for call in (log.head, lambda: fill(log, 1), log.leases, log.drop_leases, lambda: open_log(made.url)):
                with pytest.raises(Unavailable, match=r"^the log's database: .*refused") as error:
                    call()
                assert password not in str(error.value)
                assert "\n" not in str(error.value)
        finally:
            running.start()
        fill(log, 1)
        assert log.head().position == 2


def test_what_append_returned_survives_a_kill_of_the_server_and_what_it_did_not_can_be_repeated(
    own: tuple[Server, Database],
) -> None:
    running, made = own
    returned: list[str] = []
    appending = threading.Event()

    def append() -> None:
        with opened(made.url) as log:
            for attempt in range(1, 400):
                this = draft(attempt)
                while this.id not in returned:
                    try:
                        returned.append(log.append([this], CAUSE)[0].id)
                    except Unavailable:
                        continue
                if attempt > 20:
                    appending.set()

    thread = threading.Thread(target=append)
    thread.start()
    for _ in range(2):
        assert appending.wait(60)
        running.kill()
        running.start()
        appending.clear()
    thread.join(120)
    with opened(made.url) as log:
        recorded = log.read(0, 10_000)
    assert [r.id for r in recorded] == returned
    assert [r.data.attempt for r in recorded] == list(range(1, 400))


def test_a_server_that_hangs_is_unavailable_after_a_while_and_is_used_again_when_it_goes_on(
    own: tuple[Server, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, made = own
    monkeypatch.setattr(postgres, "ANSWER", 0.5)
    monkeypatch.setattr(postgres, "CONNECT", 2)
    with opened(made.url) as log:
        fill(log, 1)
        running.pause()
        try:
            with pytest.raises(Unavailable, match=r"the log's database: the server said nothing for 0\.5 s"):
                fill(log, 1)
            with pytest.raises(Unavailable, match=r"the log's database: .*timeout expired"):
                log.head()
        finally:
            running.resume()
        monkeypatch.undo()
        fill(log, 1)
        assert log.head().position == 2


def test_a_lock_that_another_holds_is_waited_for_a_while(
    made: Database, reopen: Callable[..., SqlLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres.SESSION, "lock_timeout", "200ms")
    log = reopen()
    with psycopg.connect(made.owner_url) as other:
        other.execute("SELECT * FROM head FOR UPDATE")
        with pytest.raises(Unavailable, match="the log's database: canceling statement due to lock timeout"):
            fill(log, 1)
        assert log.head().position == 0  # readers do not wait
    fill(log, 1)
    assert log.head().position == 1


def test_a_process_that_is_stopped_in_the_middle_of_an_append_does_not_stop_the_others(
    reopen: Callable[..., SqlLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, others_are_done = threading.Event(), threading.Event()

    def clock() -> str:
        begun.set()
        others_are_done.wait(60)
        return chain.now()

    monkeypatch.setitem(postgres.SESSION, "idle_in_transaction_session_timeout", "300ms")
    stopped, failed = reopen(clock), []

    def append() -> None:
        try:
            fill(stopped, 1)
        except Unavailable as error:
            failed.append(str(error))

    thread = threading.Thread(target=append)
    thread.start()
    assert begun.wait(60)
    log = reopen()
    fill(log, 2)
    others_are_done.set()
    thread.join(60)
    assert failed == ["the log's database: terminating connection due to idle-in-transaction timeout"]
    assert log.head().position == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER ROLE {role} CONNECTION LIMIT 0", "too many connections for role"),
        ("ALTER ROLE {role} PASSWORD 'another'", "password authentication failed"),
        ("ALTER ROLE {role} NOLOGIN", "is not permitted to log in"),
    ],
)
def test_a_server_that_does_not_let_us_in_is_unavailable(made: Database, change: str, said: str) -> None:
    with server().database() as own:
        server().execute(change.format(role=own.role))
        why = refused(own.url)
    assert why.startswith("the log's database: ")
    assert said in why
    assert own.url.split(":")[2].partition("@")[0] not in why


@pytest.mark.parametrize("option", ["nonsense=1", "sslmode=sometimes"])
def test_a_url_that_the_driver_does_not_understand_is_refused_without_its_password(option: str) -> None:
    why = refused(f"postgresql://someone:secret@127.0.0.1:1/db?{option}")
    assert "the log's database" in why
    assert "secret" not in why


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_server_can_be_reached_by_its_socket_too(made: Database, scheme: str) -> None:
    address = made.url.replace("postgresql:", f"{scheme}:").replace(
        f"@127.0.0.1:{server().port}/{made.name}", f"@/{made.name}?host={server().folder}&port={server().port}"
    )
    with opened(address) as log:
        assert log.head().position == 0


def test_an_instance_on_eventlet_shares_its_sessions_among_threads_and_goes_on_while_the_database_makes_it_wait(
    own: tuple[Server, Database],
) -> None:
    running, made = own
    running.execute(f"GRANT pg_signal_backend TO {made.owner}")
    out = subprocess.run(
        [sys.executable, "-m", "tests.contract.green", made.url, made.owner_url],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        check=True,
        timeout=150,
    ).stdout
    said = json.loads(out)
    assert said.pop("beats") > 0
    assert said == {
        "position after the lock": 61,
        "after ended sessions": ["appended"],
        "streams": sorted(["waits", "comes back", *(f"stream/{n}" for n in range(20))]),
        "head": 81,
    }
