"""An app's config vars. Values are sealed before they leave here, and opened for the asker alone."""

import base64
import binascii
from collections.abc import Sequence

import click

from cli import arguments
from cli.table import Context, command
from cli.values import Code, Pairs, Text, Value, changed
from services import names
from services.errors import BadInput

VALUE_LIMIT = 64 * 1024
PAIRS_LIMIT = 1000


@command("config:show", owner="configsvc", needs="read", json=True, at=True, aliases=("config",))
@arguments.app
def show(ctx: Context, app: str) -> Value:
    """Show an app's config vars."""
    sealed = ctx.call("configsvc", "config", name=app)
    return Pairs(f"{app} env vars", {key: ctx.open(app, key, text) for key, text in sealed.items()})


@command("config:get", owner="configsvc", needs="read", at=True)
@arguments.app
@click.argument("key")
@click.option("--quoted", is_flag=True, help="Quote the value for a shell.")
def get(ctx: Context, app: str, key: str, quoted: bool) -> Value:
    """Print one config var; exit code 1 when it is not set."""
    _key(key)
    sealed = ctx.call("configsvc", "config", name=app)
    if key not in sealed:
        return Code(1)
    value = ctx.open(app, key, sealed[key])
    return Text(("'" + value.replace("'", "'\\''") + "'" if quoted else value) + "\n", exact=True)


@command("config:set", owner="configsvc", needs="write", records=True, secrets="pairs")
@arguments.app
@click.argument("pairs", nargs=-1, required=True, metavar="<KEY=VALUE>...")
@click.option("--encoded", is_flag=True, help="The values are in Base64.")
@click.option("--no-restart", is_flag=True, help="Record the change for the next deploy.")
def set_(ctx: Context, app: str, pairs: tuple[str, ...], encoded: bool, no_restart: bool) -> Value:
    """Set config vars and deploy a release with them."""
    values = read_pairs(pairs, encoded=encoded)
    sealed = {key: ctx.seal(app, key, value) for key, value in values.items()}
    answer = ctx.call("configsvc", "change_config", name=app, set=sealed, unset=[], deploy=not no_restart)
    return changed("Setting config vars", answer, values)


@command("config:unset", owner="configsvc", needs="write", records=True)
@arguments.app
@click.argument("keys", nargs=-1, required=True)
@click.option("--no-restart", is_flag=True, help="Record the change for the next deploy.")
def unset(ctx: Context, app: str, keys: tuple[str, ...], no_restart: bool) -> Value:
    """Unset config vars and deploy a release without them."""
    gone = arguments.once("config", [_key(key) for key in keys])
    answer = ctx.call("configsvc", "change_config", name=app, set={}, unset=gone, deploy=not no_restart)
    return changed(f"Unsetting {' '.join(gone)}", answer)


def read_pairs(pairs: Sequence[str], *, encoded: bool) -> dict[str, str]:
    """`KEY=VALUE` words as keys and values. Raises BadInput, in which no value ever stands."""
    if len(pairs) > PAIRS_LIMIT:
        raise BadInput(f"config: {len(pairs)} pairs at once; allowed are at most {PAIRS_LIMIT}")
    values: dict[str, str] = {}
    for number, pair in enumerate(pairs, 1):
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadInput(f"config: pair {number} has no '='; allowed is KEY=VALUE")
        names.config_key(key)
        if key in values:
            raise BadInput(f"config: {key} stands twice; allowed is each key once")
        values[key] = _value(key, value, encoded=encoded)
    return values


def _value(key: str, value: str, *, encoded: bool) -> str:
    if encoded:
        try:
            value = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            raise BadInput(
                f"config: {key} is not Base64 of UTF-8 text; allowed with --encoded is nothing else"
            ) from None
    if "\0" in value:
        raise BadInput(f"config: {key} has a NUL byte, which no environment holds; allowed is other text")
    size = len(value.encode())
    if size > VALUE_LIMIT:
        raise BadInput(f"config: {key} is {size} bytes long; allowed are at most {VALUE_LIMIT}")
    return value


def _key(word: str) -> str:
    """A key alone: what follows a '=' might be a secret, so it is not repeated."""
    if "=" in word:
        raise BadInput("config: a pair stands where a key is expected; allowed is the key without '=' and value")
    return names.config_key(word)
