"""Arguments that many commands share. Their values are checked while the words are read, before any RPC."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import click

from services import names
from services.errors import BadInput

T = TypeVar("T")


def checked(check: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """A click callback that puts a value that was given through `check`, which raises BadInput for a bad one."""
    return lambda _ctx, _param, value: None if value is None else check(value)


app = click.argument("app", callback=checked(names.app_name))
some_app = click.argument("app", required=False, callback=checked(names.app_name))


def once(field: str, values: Iterable[str]) -> list[str]:
    """The values in their order. Raises BadInput when one of them stands twice."""
    seen: list[str] = []
    for value in values:
        if value in seen:
            raise BadInput(f"{field}: {names.shown(value)} stands twice; allowed is each once")
        seen.append(value)
    return seen
