"""The rules that every event of the catalogue keeps."""

import json
import re
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic import BaseModel, ValidationError

from services.errors import BrokenLog
from services.events import (
    CATALOGUE,
    UPCASTERS,
    AppCreated,
    AppEvent,
    CloudEvent,
    Event,
    PushReceived,
    Recorded,
    RefMoved,
    RoutePublished,
    decode,
    types_in,
)

ROOT = Path(__file__).parents[2]
APP = "0190a8c0-0000-7000-8000-000000000001"
COMMIT = "0" * 40
MODELS = [model for name, model in CATALOGUE.items() if not name.startswith("x.")]
named = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.TYPE)


@named
def test_an_event_says_what_it_means(model: type[Event]) -> None:
    assert (model.__doc__ or "").strip().splitlines()[0].rstrip().endswith((".", "…", ":"))
    assert model.__doc__ != Event.__doc__


@named
def test_an_event_has_one_wire_name_of_a_thing_and_what_happened_to_it(model: type[Event]) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+", model.TYPE)
    assert CATALOGUE[model.TYPE] is model


@named
def test_an_event_is_emitted_by_a_service(model: type[Event]) -> None:
    assert model.EMITTER not in ("services", "cli")
    assert (ROOT / model.EMITTER / "__init__.py").is_file()


@named
def test_an_event_is_read_as_it_was_written_or_not_at_all(model: type[Event]) -> None:
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"
    for hint in get_type_hints(model).values():
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            assert hint.model_config["extra"] == "forbid"


def test_each_older_schema_version_has_an_upcaster_and_no_other() -> None:
    steps = {(model.TYPE, schema) for model in MODELS for schema in range(1, model.SCHEMA)}
    assert {step for step in UPCASTERS if not step[0].startswith("x.")} == steps


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (AppCreated, {"app": APP, "name": "a;id"}),
        (AppCreated, {"app": APP, "name": "a..b"}),
        (AppCreated, {"app": APP, "name": "--all"}),
        (AppCreated, {"app": APP, "name": "blog\n"}),
        (AppCreated, {"app": "../../etc", "name": "blog"}),
        (AppCreated, {"app": APP, "name": "blog", "owner": "ann"}),
        (AppCreated, {"app": APP}),
        (
            PushReceived,
            {"app": APP, "ref": "refs/heads/../../x", "old": None, "new": COMMIT, "source": "sha256:" + "a" * 64},
        ),
        (RefMoved, {"app": APP, "ref": "refs/heads/-h", "old": None, "new": COMMIT, "deploys": True}),
        (RefMoved, {"app": APP, "ref": "refs/heads/x", "old": None, "new": "--help", "deploys": True}),
        (
            RoutePublished,
            {
                "app": APP,
                "release": 1,
                "attempt": 1,
                "hosts": ["a.com; }"],
                "upstreams": [],
                "replaces": None,
                "push": "",
            },
        ),
    ],
)
def test_hostile_names_are_refused_when_an_event_is_made_and_when_it_is_read(
    model: type[Event], fields: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(fields)
    with pytest.raises(BrokenLog, match=f"^the log holds {re.escape(model.TYPE)} with a bad "):
        decode(model.TYPE, 1, json.dumps(fields))


def test_an_unknown_type_and_an_unknown_schema_version_are_never_skipped() -> None:
    with pytest.raises(BrokenLog, match=r"holds 'app.painted', which this Pushlog does not know"):
        decode("app.painted", 1, "{}")
    for schema in (0, 2):
        with pytest.raises(BrokenLog, match=rf"holds app.created in schema {schema}, not in 1 to 1; upgrade Pushlog"):
            decode("app.created", schema, json.dumps({"app": APP, "name": "blog"}))


@pytest.mark.parametrize("data", ["", "{", "[]", "null", '{"app": 1, "name": "blog"}'])
def test_data_of_another_shape_are_the_logs_fault_and_no_crash(data: str) -> None:
    with pytest.raises(BrokenLog, match=r"^the log holds app.created "):
        decode("app.created", 1, data)


def test_a_recorded_event_has_the_attributes_of_a_cloud_event() -> None:
    recorded = Recorded(
        id="an-id",
        source="configsvc",
        type="app.created",
        schema=1,
        subject="blog",
        time="2026-01-01T00:00:00.000000Z",
        position=7,
        stream=f"app/{APP}",
        version=1,
        actor="local",
        origin="",
        command="apps:create blog",
        correlationid="story",
        causationid="",
        hash="f" * 64,
        data=AppCreated(app=APP, name="blog"),
    )
    assert CloudEvent.of(recorded) == {
        "specversion": "1.0",
        "id": "an-id",
        "source": "/pushlog/configsvc",
        "type": "app.created",
        "subject": "blog",
        "time": "2026-01-01T00:00:00.000000Z",
        "datacontenttype": "application/json",
        "schemaversion": 1,
        "position": 7,
        "stream": f"app/{APP}",
        "version": 1,
        "actor": "local",
        "origin": "",
        "command": "apps:create blog",
        "correlationid": "story",
        "causationid": "",
        "hash": "f" * 64,
        "data": {"app": APP, "name": "blog"},
    }


def test_a_state_is_changed_by_the_event_types_that_its_module_imports() -> None:
    names = {"AppCreated": AppCreated, "Event": Event, "AppEvent": AppEvent, "CATALOGUE": CATALOGUE, "int": int}
    assert types_in(names) == {AppCreated}
