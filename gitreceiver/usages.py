"""What the door owns on disk: the repositories; and the database and the room that all share."""

from typing import Any

from gitreceiver.git.repository import repositories
from gitreceiver.ports import Ports
from services import usage


def disk(ports: Ports) -> dict[str, Any]:
    """The bytes of the repositories by the app's name, of the log's database, and those that are free."""
    ports.projections.catch_up()
    names = usage.labels(ports.state.apps, ports.state.gone)
    found = [(app, usage.folder(path)) for app, path in repositories(ports.settings.home)]
    room = {"database": usage.database(ports.settings), "free": usage.free(ports.settings)}
    return {"repository": usage.by_label(names, found), "room": room}
