"""What takes room on the disk, and what can go."""

from cli.render import say
from cli.table import Context, command
from cli.values import Bytes, Listing, Value

SHARES = ("images", "repository", "blobs", "logs")


@command("cleanup", owner="builder", needs="admin", json=True)
def cleanup(ctx: Context) -> Value:
    """Remove images that no release needs: those but of the current one, of later ones and of the five before."""
    gone = [row | {"size": Bytes(row["size"])} for row in ctx.call("builder", "clean_up")]
    freed = Bytes(sum(row["size"] for row in gone))
    say(ctx, f"Removed {len(gone)} image{'' if len(gone) == 1 else 's'}, {freed}", {})
    return Listing("Removed images", gone, {"app": "{}", "kind": "{}", "image": "{:.19}", "size": "{}"})


@command("doctor:disk", owner="gitreceiver", needs="admin", json=True)
def doctor(ctx: Context) -> Value:
    """Show who owns what on the disk: each app's images, repository, blobs and logs, the log's database; what is free.

    An image counts without what it rests on; one that apps share, such as the stack, is nobody's.
    """
    found: dict[str, dict[str, int]] = {}
    for service in ("builder", "gitreceiver", "deployer"):
        found |= ctx.call(service, "disk")
    owners = sorted({owner for share in SHARES for owner in found[share]})
    rows = [_row(owner, {share: found[share].get(owner, 0) for share in SHARES}) for owner in owners]
    rows += [{"owner": f"({what})", "total": Bytes(found["room"][what])} for what in ("database", "free")]
    return Listing("Disk", rows, dict.fromkeys(("owner", *SHARES, "total"), "{}"))


def _row(owner: str, shares: dict[str, int]) -> dict[str, object]:
    total = Bytes(sum(shares.values()))
    return {"owner": owner, **{share: Bytes(size) for share, size in shares.items()}, "total": total}
