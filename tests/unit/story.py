"""Builds logs for unit tests by events, as the services would record them."""

from services.chain import Cause, Draft
from services.events import (
    AppCreated,
    BuildSucceeded,
    Event,
    PushReceived,
    Recorded,
    ReleaseCreated,
    Slot,
    app_stream,
    work_stream,
)
from services.memorylog import MemoryLog
from services.projections import Projections

APP = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
IMAGE = "sha256:" + "1" * 64
BLOB = "sha256:" + "b" * 64
COMMIT = "c" * 40
WHO = Cause("test", "tester", "local", "")


class Story:
    """A log in memory with a fold of each given state over it."""

    def __init__(self, *states):
        self.log = MemoryLog()
        self.projections = Projections(self.log)
        for state in states:
            self.projections.add(state)

    def record(self, event: Event, cause: Cause = WHO, stream: str | None = None) -> Recorded[Event]:
        """Record one event; by default on its app's stream."""
        stream = stream or app_stream(event.app)
        recorded = self.log.append([Draft(stream, "hello", event)], cause)[0]
        self.projections.catch_up()
        return recorded

    def after(self, trigger: Recorded[Event], event: Event) -> Recorded[Event]:
        """Record what `trigger` caused, on its work's stream."""
        return self.record(event, Cause.after("test", trigger), work_stream(trigger.id))

    def app(self, app: str = APP, name: str = "hello") -> None:
        """Record an app."""
        self.record(AppCreated(app=app, name=name))

    def push(self, app: str = APP, new: str = COMMIT) -> Recorded[Event]:
        """Record a push."""
        return self.record(PushReceived(app=app, ref="refs/heads/main", old=None, new=new, source=BLOB))

    def built(self, push: Recorded[Event], image: str = IMAGE, **processes: str) -> Recorded[Event]:
        """Record a build of a push."""
        return self.after(
            push,
            BuildSucceeded(
                app=push.data.app,
                attempt=1,
                image=image,
                stack=IMAGE,
                buildpack="null",
                processes=processes or {"web": "serve"},
                commit=push.data.new,
                output=BLOB,
            ),
        )


def release(number: int = 1, **changes) -> ReleaseCreated:
    """A release of the app with one web process, with `changes`."""
    return ReleaseCreated(
        **{
            "app": APP,
            "number": number,
            "change": "Deploy",
            "image": IMAGE,
            "commit": COMMIT,
            "config": {},
            "processes": {"web": "serve"},
            "formation": {"web": 1},
            "domains": ["hello.localhost"],
            **changes,
        }
    )


def slot(number: int = 1, **changes) -> Slot:
    """A slot of web, with `changes`."""
    made = {"process": "web", "number": number, "address": f"10.0.0.{number}", "port": 5000, "spec": "s"}
    return Slot(**{**made, "made_by": APP, "attempt": 1, **changes})
