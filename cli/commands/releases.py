"""An app's numbered releases."""

from cli import arguments
from cli.table import Context, command
from cli.values import Listing, Value


@command("releases", owner="configsvc", needs="read", json=True, at=True, aliases=("releases:list",))
@arguments.app
def releases(ctx: Context, app: str) -> Value:
    """List an app's releases, the newest first."""
    columns = {"number": "v{}", "status": "{}", "change": "{}", "by": "{}", "when": "{:.19}"}
    return Listing(f"{app} releases", ctx.call("configsvc", "releases", name=app), columns)
