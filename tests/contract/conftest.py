"""What the tests with worlds that may end anywhere share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services import database


@pytest.fixture
def key_database(tmp_path: Path) -> Iterator[sa.Engine]:
    """The keyring's database."""
    engine = database.connect(f"sqlite:///{tmp_path / 'keys.sqlite'}")
    yield engine
    engine.dispose()
