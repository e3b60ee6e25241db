"""Events are recorded for ever: samples/<type>.<schema>.json is one as it stands in logs.

A new event type, or a new schema version of one, comes with a sample of its own. A sample is never edited: a change
that asks for it would make old logs unreadable, and is a new schema version with an upcaster instead.
"""

import json
from pathlib import Path

import pytest

from services.events import CATALOGUE, decode

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.json"))
TYPES = sorted(name for name in CATALOGUE if not name.startswith("x."))


def read(path: Path) -> tuple[str, int, dict[str, object]]:
    sample = json.loads(path.read_text())
    return sample["type"], sample["schema"], sample["data"]


@pytest.mark.parametrize("name", TYPES)
def test_each_schema_version_of_an_event_type_has_a_sample(name: str) -> None:
    needed = {f"{name}.{schema}.json" for schema in range(1, CATALOGUE[name].SCHEMA + 1)}
    assert needed <= {path.name for path in SAMPLES}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_stored_event_can_be_read(path: Path) -> None:
    name, schema, data = read(path)
    assert path.name == f"{name}.{schema}.json"
    event = decode(name, schema, json.dumps(data))
    assert isinstance(event, CATALOGUE[name])
    assert decode(name, event.SCHEMA, event.model_dump_json()) == event


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_stored_event_of_todays_schema_says_what_one_recorded_now_would_say(path: Path) -> None:
    name, schema, data = read(path)
    if schema == CATALOGUE[name].SCHEMA:
        assert decode(name, schema, json.dumps(data)).model_dump(mode="json") == data
        assert data.keys() == CATALOGUE[name].model_fields.keys()
