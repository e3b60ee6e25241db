"""What is asked and changed in the log's tables, in the words of every database."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from services import chain
from services.tables import events, head, keyring, leases


class Texts(FunctionElement[Any]):
    """A JSON array's texts, as the rows of a table."""

    inherit_cache = True
    name = "texts"


@compiles(Texts, "sqlite")
def _in_sqlite(element: Texts, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(Texts, "postgresql")
def _in_postgresql(element: Texts, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array_elements_text({compiler.process(element.clauses, **options)})"


def _each(kind: str, wanted: sa.ColumnElement[Any], by: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """For each text of the parameter `<kind>s`: the kind, the text, and what is wanted of the events that have it.

    A subquery for each: a join would be planned by statistics, which lag behind, and might read the whole log.
    """
    texts = Texts(sa.bindparam(f"{kind}s", type_=sa.JSON)).table_valued("value", name=kind)
    found = sa.select(wanted).where(by == texts.c.value).scalar_subquery()
    return sa.select(sa.literal_column(f"'{kind}'"), texts.c.value, found)


_ROW = [events.c[name] for name in (*chain.COLUMNS, "hash")]
HEAD = sa.select(head.c.position, head.c.hash)
LAST = sa.select(sa.func.max(events.c.position))
PAGE_AFTER = (
    sa.select(*_ROW)
    .where(events.c.position > sa.bindparam("after"), events.c.position <= sa.bindparam("last"))
    .order_by(events.c.position)
)
BY_ID = sa.select(*_ROW).where(events.c.id == sa.bindparam("id"))
LOOK_UP = sa.union_all(
    _each("stream", sa.func.max(events.c.version), events.c.stream), _each("id", events.c.position, events.c.id)
)
"""Of each of :streams its version (None: none), of each of :ids the position where it stands; both are JSON arrays."""

_THE_LEASE = [leases.c[name] == sa.bindparam(name) for name in ("work", "holder", "attempt")]
LEASES = sa.select(leases)
GIVE_LEASE = sa.text(
    "INSERT INTO leases (work, holder, attempt, beat) VALUES (:work, :holder, :attempt, 0)"
    " ON CONFLICT (work) DO UPDATE SET holder = excluded.holder, attempt = excluded.attempt, beat = 0"
)
TAKE = sa.text(
    "INSERT INTO leases (work, holder, attempt, beat) VALUES (:work, :holder, :attempt, 0) ON CONFLICT DO NOTHING"
)
TAKE_OVER = sa.text(
    "UPDATE leases SET holder = :holder, attempt = :attempt, beat = beat + 1"
    " WHERE work = :work AND holder = :old_holder AND attempt = :old_attempt AND beat = :old_beat"
)
RENEW = leases.update().where(*_THE_LEASE).values(beat=leases.c.beat + sa.text("1"))
END_LEASE = leases.delete().where(*_THE_LEASE)
DROP_LEASES = leases.delete()
DROP_KEYS = keyring.delete()
ADD_KEY = sa.text("INSERT INTO keyring (app, wrapped) VALUES (:app, :wrapped)")
