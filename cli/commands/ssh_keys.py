"""The SSH keys that may push and command."""

import click

from cli import arguments
from cli.table import Context, command
from cli.values import Done, Listing, Text, Value
from services import names
from services.errors import BadInput
from services.sshkeys import SIZE_LIMIT, parse_public_key


def _fingerprint(word: str) -> str:
    if not names.matches(names.FINGERPRINT_PATTERN, word):
        raise BadInput(f"fingerprint: {names.shown(word)} is not one; allowed is SHA256: and 43 characters")
    return word


@command("ssh-keys:add", owner="gitreceiver", needs="admin", records=True, reads_stdin=True)
@click.argument("name", callback=arguments.checked(names.key_name))
@click.argument("path", required=False)
def add(ctx: Context, name: str, path: str | None) -> Value:
    """Add the public key on stdin, or (local command only) in a file; prints its fingerprint."""
    if path is not None:
        raise BadInput("path: only the local pushlog command reads a file; allowed here is the key on stdin")
    try:
        text = ctx.read_stdin(SIZE_LIMIT).decode()
    except UnicodeDecodeError:
        raise BadInput("key: not text; allowed is one public key on one line") from None
    key = parse_public_key(text)
    added = ctx.call("gitreceiver", "add_key", name=name, public_key=f"{key.algorithm} {key.base64}")
    return Text(added["fingerprint"])


@command("ssh-keys:list", owner="gitreceiver", needs="admin", json=True, at=True, aliases=("ssh-keys",))
def list_(ctx: Context) -> Value:
    """List the keys by fingerprint and name."""
    return Listing("SSH keys", ctx.call("gitreceiver", "list_keys"), {"fingerprint": "{}", "name": 'NAME="{}"'})


@command("ssh-keys:remove", owner="gitreceiver", needs="admin", records=True)
@click.argument("name", required=False, callback=arguments.checked(names.key_name))
@click.option("--fingerprint", metavar="F", callback=arguments.checked(_fingerprint), help="By fingerprint.")
def remove(ctx: Context, name: str | None, fingerprint: str | None) -> Value:
    """Remove a key by its name, or by its fingerprint."""
    if (name is None) == (fingerprint is None):
        raise BadInput("ssh-keys:remove: needs one thing; allowed is a name, or --fingerprint F")
    ctx.call("gitreceiver", "remove_key", name=name, fingerprint=fingerprint)
    return Done(f"Removed the key {name or fingerprint}")
