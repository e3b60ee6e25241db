"""Hop 6: route.published → ref.moved. The pushed branch moves only now that its release serves."""

from gitreceiver.ports import Ports
from gitreceiver.state import expected
from services.chain import Cause, Draft
from services.decide import Decision, commit
from services.events import Recorded, RefMoved, RoutePublished, app_stream


def on_route_published(route: Recorded[RoutePublished], ports: Ports) -> None:
    """Move the ref that the push named from where it stands, once."""

    def decide() -> Decision:
        app = ports.state.apps.get(route.data.app)
        push = app.pending.get(route.data.push) if app else None
        if app is None or push is None:
            return Decision([])
        moved = RefMoved(app=app.id, ref=push.ref, old=app.refs.get(push.ref), new=push.new, deploys=True)
        return Decision([Draft(app_stream(app.id), app.name, moved)], expected(app))

    commit(ports.log, ports.projections, decide, Cause.after("gitreceiver", route))
