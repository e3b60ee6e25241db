"""Mends after app.destroyed: the app's containers go. At start, reconcile does the same."""

from functools import partial

from deployer import candidate, mend
from deployer.ports import Ports
from deployer.state import identity
from services.events import AppDestroyed, Recorded
from services.tasks import side_by_side


def on_app_destroyed(destroyed: Recorded[AppDestroyed], ports: Ports) -> None:
    """Stop every container of the app, all at once so that they have the same time to end, and keep what they printed.

    Containers are listed before the log is read: those that a restored app has by now are not touched.
    """
    app = destroyed.data.app
    there = ports.containers.list(app)
    ports.projections.catch_up()
    back = ports.state.apps.get(app)
    wanted = {identity(slot): slot.address for slot in (back.slots() if back else ())}

    def end(container: str, process: str) -> None:
        ports.containers.stop(container)
        candidate.bury(ports, container, app, process)

    leaving = [container for container in there if mend.is_stray(container, wanted)]
    side_by_side([partial(end, c.id, f"{c.identity[2]}.{c.identity[3]}") for c in leaving])
    ports.look.set()
