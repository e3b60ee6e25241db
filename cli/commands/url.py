"""Where an app is found."""

from cli import arguments
from cli.table import Context, command
from cli.values import Text, Value
from services.errors import Refused


@command("url", owner="configsvc", needs="read", at=True)
@arguments.app
def url(ctx: Context, app: str) -> Value:
    """Print an app's URL."""
    hosts = [host for host in ctx.call("configsvc", "domains", name=app) if not host.startswith("*.")]
    if not hosts:
        raise Refused(f"{app} has no domain; add one with: domains:add {app} HOST")
    port = "" if ctx.http_port == 80 else f":{ctx.http_port}"
    return Text(f"http://{hosts[0]}{port}")
