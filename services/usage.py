"""How many bytes things take: folders, the log's database, and what is free."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from services.errors import Unavailable
from services.settings import Settings


def folder(path: Path) -> int:
    """What the files below a folder, or one file, take; 0 when it is not there."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for base, _, files in os.walk(path):
        time.sleep(0)  # others have a turn
        for name in files:
            try:
                total += os.lstat(os.path.join(base, name)).st_size
            except FileNotFoundError:  # it went while we looked
                continue
    return total


def database(settings: Settings) -> int:
    """What the log, and what stands beside it, take in the database. Raises Unavailable."""
    if settings.alone:
        path = sa.make_url(settings.database).database or ""
        return sum(folder(Path(path + suffix)) for suffix in ("", "-wal", "-shm"))
    engine = sa.create_engine(sa.make_url(settings.database).set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            return int(connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one())
    except sa.exc.SQLAlchemyError as error:
        raise Unavailable(f"the database does not say how large it is: {error}") from error
    finally:
        engine.dispose()


def free(settings: Settings) -> int:
    """What is free below the home."""
    return shutil.disk_usage(settings.home).free


class Named(Protocol):
    """An app in any service's state."""

    name: str


def labels(apps: Mapping[str, Named], gone: Mapping[str, Named]) -> dict[str, str]:
    """What to call each app, by its uuid; `gone` are those that are destroyed and can be had back."""
    destroyed = {id_: f"{app.name} (destroyed)" for id_, app in gone.items()}
    return destroyed | {id_: app.name for id_, app in apps.items()}


def by_label(labels: Mapping[str, str], sizes: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The sum of the sizes, each of an app (uuid), by what the app is called; what is no app's is `(no app)`."""
    total: Counter[str] = Counter()
    for app, size in sizes:
        total[labels.get(app, "(no app)")] += size
    return dict(total)
