"""Hop 6: route.published → release.retired or retire.failed. The new containers take over; the old drain and stop."""

import time
from functools import partial

from deployer import candidate, mend
from deployer.ports import Ports
from deployer.state import identity
from services.chain import Draft
from services.decide import conclude
from services.events import Recorded, ReleaseRetired, RetireFailed, RoutePublished, work_stream
from services.tasks import side_by_side


def on_route_published(route: Recorded[RoutePublished], ports: Ports) -> None:
    """Retire what `route` replaced. Nothing new reaches the old containers; their last requests get time to end."""
    app = ports.state.apps.get(route.data.app)
    if app is None:
        return
    old = route.data.replaces or 0
    with ports.mending:
        mend.hand_over_names(ports, app, ports.containers.list(app.id))
    slots = [slot for part in app.retiring if part.release == old for slot in part.slots]
    if slots:
        time.sleep(ports.settings.drain)
    wanted = {identity(slot) for slot in slots}
    leaving = [c for c in ports.containers.list(app.id) if c.identity in wanted]

    def retire(container: str, process: str) -> None:
        ports.containers.stop(container)
        candidate.bury(ports, container, app.id, process)

    side_by_side([partial(retire, c.id, f"{c.identity[2]}.{c.identity[3]}") for c in leaving])
    ports.projections.catch_up()
    if app.id in ports.state.apps:  # else its end was recorded meanwhile
        conclude(ports.log, route, ReleaseRetired(app=app.id, release=old, by=route.data.release), "deployer")


def given_up(route: Recorded[RoutePublished], attempts: int, reason: str) -> Draft:
    """The failure that ends the retirement of a release: mending removes its containers, as none of a release."""
    data = route.data
    failed = RetireFailed(app=data.app, release=data.replaces or 0, by=data.release, reason=reason)
    return Draft(work_stream(route.id), route.subject, failed)
