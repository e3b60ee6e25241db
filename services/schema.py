"""How a PostgreSQL database is made a log's, and whether it is: tables, triggers, rights of the application's role."""

from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.dialects.postgresql.psycopg import dialect

from services import tables
from services.errors import BrokenLog
from services.tables import SCHEMA_VERSION, metadata

PREPARE = "run: pushlog prepare"
LOCK = 0x70757368  # of all who prepare one database, one does it at a time
GRANTS = {
    "events": "SELECT, INSERT",
    "head": "SELECT, UPDATE",
    "keyring": "SELECT, INSERT, DELETE",
    "leases": "SELECT, INSERT, UPDATE, DELETE",
    "meta": "SELECT",
    "processes": "SELECT, INSERT, UPDATE, DELETE",
}
TRIGGERS = {
    "events_never_changed": "BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.events",
    "events_only_next": "AFTER INSERT ON {schema}.events REFERENCING NEW TABLE AS appended",
}
FUNCTIONS = {
    "events_never_changed": "BEGIN RAISE EXCEPTION 'the log is append-only' USING ERRCODE = '23000'; END",
    # each event needs the one before it; nothing can be put before the first, nor where there is one already
    "events_only_next": """BEGIN
        IF EXISTS (
            SELECT FROM appended
            WHERE position <> 1
            AND (SELECT position FROM {schema}.events WHERE position = appended.position - 1) IS NULL
            OR version <> 1
            AND (SELECT position FROM {schema}.events
                 WHERE stream = appended.stream AND version = appended.version - 1) IS NULL
        ) THEN
            RAISE EXCEPTION 'the log is append-only' USING ERRCODE = '23000';
        END IF;
        RETURN NULL;
    END""",
}

Connection = psycopg.Connection[Any]


def prepare_tables(connection: Connection, role: str) -> None:
    """Make or upgrade the tables in the open transaction, for the application's role. Raises BrokenLog."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    for statement in tables.creation(dialect()):  # type: ignore[no-untyped-call]
        connection.execute(statement.encode())
    version = _value(connection, "SELECT max(schema_version) FROM meta")
    tables.check_version(version, _value(connection, "SELECT EXISTS (SELECT FROM events)"))
    if version is None:
        connection.execute("INSERT INTO meta VALUES (%s)", [SCHEMA_VERSION])
        connection.execute("INSERT INTO head VALUES (1, 0, %s)", ["0" * 64])
    _make_append_only(connection)
    _grant(connection, role)
    _refuse_mighty(connection, role)


def refuse_unprepared(connection: Connection) -> None:
    """Raise BrokenLog for a database that is not prepared, is newer, or whose log this role could change."""
    names = list(metadata.tables)
    if _value(connection, "SELECT count(*) FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", names):
        raise BrokenLog(f"the log's database is not prepared; {PREPARE}")
    version = _value(connection, "SELECT max(schema_version) FROM meta")
    tables.check_version(version, any_events=True)
    if version < SCHEMA_VERSION:
        raise BrokenLog(f"the log has schema {version}, older than this Pushlog's {SCHEMA_VERSION}; {PREPARE}")
    guards = """SELECT count(*) FROM pg_trigger
        WHERE tgrelid = to_regclass('events') AND tgenabled IN ('O', 'A') AND tgname = ANY(%s::text[])"""
    if _value(connection, guards, list(TRIGGERS)) < len(TRIGGERS):
        raise BrokenLog(f"the log's triggers are not there; {PREPARE}")
    _refuse_mighty(connection, _value(connection, "SELECT current_user"))


def _make_append_only(connection: Connection) -> None:
    schema = sql.Identifier(_value(connection, "SELECT current_schema()"))
    for name, body in FUNCTIONS.items():
        function = "CREATE OR REPLACE FUNCTION {schema}.{name}() RETURNS trigger LANGUAGE plpgsql AS $$" + body + "$$"
        trigger = "CREATE TRIGGER {name} " + TRIGGERS[name] + " FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{name}()"
        for statement in (function, "DROP TRIGGER IF EXISTS {name} ON {schema}.events", trigger):
            connection.execute(sql.SQL(statement).format(schema=schema, name=sql.Identifier(name)))


def _grant(connection: Connection, role: str) -> None:
    if not _value(connection, "SELECT count(*) FROM pg_roles WHERE rolname = %s", role):
        raise BrokenLog(f"the database has no role {role}; make it with: CREATE ROLE … LOGIN PASSWORD …")
    names = {"role": sql.Identifier(role), "schema": sql.Identifier(_value(connection, "SELECT current_schema()"))}
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {schema} TO {role}").format(**names))
    for table, rights in GRANTS.items():
        names["table"] = sql.Identifier(table)
        connection.execute(sql.SQL("REVOKE ALL ON {table} FROM PUBLIC, {role}").format(**names))
        connection.execute(sql.SQL("GRANT " + rights + " ON {table} TO {role}").format(**names))


def _refuse_mighty(connection: Connection, role: str) -> None:
    """Raise BrokenLog for a role that could change what was recorded."""
    query = """SELECT CASE
            WHEN rolsuper THEN 'is a superuser'
            WHEN pg_has_role(pg_roles.oid, relowner, 'MEMBER') THEN 'owns the log''s tables'
            WHEN pg_has_role(pg_roles.oid, nspowner, 'MEMBER') THEN 'owns the log''s schema'
            WHEN has_table_privilege(pg_roles.oid, pg_class.oid, 'UPDATE, DELETE, TRUNCATE')
              OR has_any_column_privilege(pg_roles.oid, pg_class.oid, 'UPDATE') THEN 'may change what was recorded'
        END FROM pg_roles, pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE rolname = %s AND pg_class.oid = to_regclass('events')"""
    if might := _value(connection, query, role):
        raise BrokenLog(f"the role {role} {might}; the log needs one of its own in PUSHLOG_LOG_URL, then {PREPARE}")


def _value(connection: Connection, query: str, *parameters: Any) -> Any:
    """The only column of the only row."""
    [row] = connection.execute(query.encode(), parameters)
    return row[0]
