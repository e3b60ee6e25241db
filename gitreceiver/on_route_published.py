"""Hop 6: route.published → ref.moved or ref.refused. The pushed branch moves only now that its release serves."""

from gitreceiver.ports import Ports
from gitreceiver.state import expected
from services.chain import Cause, Draft
from services.decide import Decision, commit, outcome_id
from services.events import Recorded, RefMoved, RefRefused, RoutePublished, app_stream


def on_route_published(route: Recorded[RoutePublished], ports: Ports) -> None:
    """Move the ref that the push named from where it stands, once."""

    def decide() -> Decision:
        app = ports.state.apps.get(route.data.app)
        push = app.pending.get(route.data.push) if app else None
        if app is None or push is None:
            return Decision([])
        moved = RefMoved(app=app.id, ref=push.ref, old=app.refs.get(push.ref), new=push.new, deploys=True)
        draft = Draft(app_stream(app.id), app.name, moved, outcome_id(route, "gitreceiver"))
        return Decision([draft], expected(app))

    commit(ports.log, ports.projections, decide, Cause.after("gitreceiver", route))


def given_up(route: Recorded[RoutePublished], attempts: int, reason: str) -> Draft:
    """The failure that ends a push whose release serves and whose branch could not be moved."""
    app = route.data.app
    return Draft(app_stream(app), route.subject, RefRefused(app=app, release=route.data.release, reason=reason))
