"""What takes room on the disk, and what can go."""

from collections.abc import Mapping

from cli.render import say
from cli.table import Context, command
from cli.values import Bytes, Listing, Value

SHARES = ("images", "caches", "repository", "blobs", "logs")


@command("cleanup", owner="builder", needs="admin", json=True)
def cleanup(ctx: Context) -> Value:
    """Remove images that no release needs: those but of the current one, of later ones and of the five before."""
    gone = [row | {"size": Bytes(row["size"])} for row in ctx.call("builder", "clean_up")]
    freed = Bytes(sum(row["size"] for row in gone))
    say(ctx, f"Removed {len(gone)} image{'' if len(gone) == 1 else 's'}, {freed}", {})
    return Listing("Removed images", gone, {"app": "{}", "kind": "{}", "image": "{:.19}", "size": "{}"})


@command("doctor:disk", owner="gitreceiver", needs="admin", json=True)
def doctor(ctx: Context) -> Value:
    """Show who owns what on the disk: what each app has of images, caches, repository, blobs and logs; what is free.

    An image counts without what it rests on; one that apps share, such as the stack, is nobody's. Caches are not told
    when Docker takes long to count them.
    """
    found: dict[str, dict[str, int] | None] = {}
    for service in ("builder", "gitreceiver", "deployer"):
        found |= ctx.call(service, "disk")
    room, shares = found["room"] or {}, {share: found[share] for share in SHARES}
    owners = sorted({owner for sizes in shares.values() for owner in sizes or ()})
    rows = [_row(owner, shares) for owner in owners]
    rows += [{"owner": f"({what})", "total": Bytes(room[what])} for what in ("database", "free")]
    return Listing("Disk", rows, dict.fromkeys(("owner", *SHARES, "total"), "{}"))


def _row(owner: str, shares: Mapping[str, Mapping[str, int] | None]) -> dict[str, object]:
    told = {share: None if sizes is None else Bytes(sizes.get(owner, 0)) for share, sizes in shares.items()}
    return {"owner": owner, **told, "total": Bytes(sum(size or 0 for size in told.values()))}
