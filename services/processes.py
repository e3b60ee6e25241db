"""What the processes of an instance say of themselves, in a table beside the log, so that each is seen from any.

An instance of one process on SQLite needs none of it: it is asked itself (services/healthz.py).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from services.tables import processes as table

SILENT = 12.0
FORGOTTEN = 600.0


@dataclass(frozen=True)
class Process:
    """What a process said last, and how many seconds ago, by the database's clock."""

    holder: str
    services: tuple[str, ...]
    report: Mapping[str, Any]
    silence: float

    @property
    def silent(self) -> bool:
        """Whether it has said nothing for too long: killed, stopped, or cut off from the database."""
        return self.silence > SILENT


class Processes:
    """The table, for one process whose name among the holders of leases is `holder`."""

    def __init__(self, engine: sa.Engine, holder: str) -> None:
        self._engine = engine
        self._holder = holder

    def tell(self, services: tuple[str, ...], report: Mapping[str, Any]) -> None:
        """Say how this process does, and drop who has been silent for FORGOTTEN seconds. Raises Unavailable."""
        row = {"services": ",".join(services), "report": json.dumps(report), "seen": sa.func.now()}
        with self._engine.begin() as connection:
            mine = table.c.holder == self._holder
            if not connection.execute(table.update().where(mine).values(**row)).rowcount:
                connection.execute(table.insert().values(holder=self._holder, **row))
            if gone := [process.holder for process in seen(connection) if process.silence > FORGOTTEN]:
                connection.execute(table.delete().where(table.c.holder.in_(gone)))

    def leave(self) -> None:
        """Take this process out. Raises Unavailable."""
        with self._engine.begin() as connection:
            connection.execute(table.delete().where(table.c.holder == self._holder))


def seen(connection: sa.Connection) -> list[Process]:
    """Every process that the table knows, those of one service beside each other."""
    rows = connection.execute(sa.select(table, sa.func.now().label("now")).order_by(table.c.services, table.c.holder))
    return [
        Process(row.holder, tuple(row.services.split(",")), json.loads(row.report), (row.now - row.seen) / _SECOND)
        for row in rows
    ]


_SECOND = timedelta(seconds=1)
