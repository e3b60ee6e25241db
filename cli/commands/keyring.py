"""The master key, which opens the keys that apps' secrets are sealed with."""

from cli.table import Context, command
from cli.values import Done, Value

DIGITS = 1024
"""Bytes of stdin that are read; a master key has 64."""


@command("log:rekey", owner="gitreceiver", needs="admin", reads_stdin=True)
def rekey(ctx: Context) -> Value:
    """Rotate the master key. A new one for PUSHLOG_MASTER_KEY is read from stdin, a file's is made."""
    answer = ctx.rekey(DIGITS)
    notes = []
    if answer["given"]:
        notes.append("Set PUSHLOG_MASTER_KEY, or the file that PUSHLOG_MASTER_KEY_FILE names, to the new key,")
        notes.append("and restart every process of the instance; the old key opens nothing any more")
    return Done("Rotated the master key", {"Data keys": str(answer["keys"])}, notes)
