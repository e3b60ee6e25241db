"""The states of all services about one app, as a text in which nothing is left that chance or a clock chose."""

import json
import re
from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import Any

from pydantic import BaseModel

from configsvc.state import State as Desired
from deployer.state import State as Deployed
from gitreceiver.state import State as Received
from router.state import State as Routed
from services.events import Recorded
from tests.e2e.world import recorded

UUID, DIGEST, COMMIT, SHORT = r"[0-9a-f]{8}-[0-9a-f-]{27}", r"[0-9a-f]{64}", r"[0-9a-f]{40}", r"\b[0-9a-f]{8}\b"
ADDRESS, SEALED = r"\d+\.\d+\.\d+\.\d+", r"[A-Za-z0-9+/]{36,}=*"
TIME = r"\d{4}-\d\d-\d\dT[\d:.]+Z"
CHANCE = re.compile("|".join((TIME, UUID, DIGEST, COMMIT, SHORT, ADDRESS, SEALED)))


def of_app(found: Iterable[dict[str, Any]], app: str) -> str:
    """Fold CloudEvents and tell what the services know of the app; ids, addresses and sealed values are numbered."""
    states = [Desired(), Deployed(), Received(), Routed()]
    for event in map(recorded, found):
        for state in states:
            state.evolve(event)
    known = [next(a for a in state.apps.values() if a.name == app) for state in states]  # type: ignore[attr-defined]
    text = json.dumps([plain(one) for one in known], sort_keys=True).replace(app, "the-app")
    numbers: dict[str, str] = {}
    told = json.loads(CHANCE.sub(lambda match: numbers.setdefault(match[0], f"<{len(numbers)}>"), text))
    return json.dumps(in_order(told), sort_keys=True)


def in_order(value: Any) -> Any:
    """What was told, the members of sets in the order of their numbers."""
    match value:
        case {"set": list(members)} if len(value) == 1:
            return sorted(members)
        case dict():
            return {key: in_order(part) for key, part in value.items()}
        case list():
            return [in_order(part) for part in value]
    return value


def plain(value: Any) -> Any:
    """A state as JSON knows it; an event without where and when it was recorded."""
    match value:
        case Recorded():
            return plain(value.data)
        case BaseModel():
            return value.model_dump()
        case dict():
            return {str(key): plain(part) for key, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case set() | frozenset():
            return {"set": sorted(map(str, value))}
    if is_dataclass(value):
        return {name: plain(part) for name, part in vars(value).items() if name != "since"}  # positions are of chance
    return value
