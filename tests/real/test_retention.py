"""What retention removes from a real Docker and the blob store: what no release needs, and never what somebody uses."""

import os
import time
from types import SimpleNamespace

import docker
import pytest

from builder import retention
from builder.state import State
from services.blobs import YOUNG, Blobs
from services.events import (
    AppCreated,
    AppDestroyed,
    AppShredded,
    BuildSucceeded,
    PushReceived,
    ReleaseCreated,
    RoutePublished,
)
from tests.real.workshop import Workshop, running
from tests.unit.story import BLOB, Story, release

NULL = {".null": "", "Procfile": "web: run\n"}


class Kept(Workshop):
    """A workshop whose builds are recorded, and serve one after the other."""

    def __init__(self, client, home):
        super().__init__(client, home)
        self.state, self.number = State(), 0
        self.story = Story(self.state)
        self.story.record(AppCreated(app=self.app, name="hello"))
        self.ports = SimpleNamespace(
            client=client,
            settings=self.settings,
            state=self.state,
            projections=self.story.projections,
            blobs=Blobs(home / "blobs"),
        )

    def serve(self, tree):
        """Build `tree` and record that it serves; the image's id."""
        self.number += 1
        made, commit = self.build(tree), f"{self.number:040d}"
        push = self.story.record(
            PushReceived(app=self.app, ref="refs/heads/main", old=None, new=commit, source=BLOB),
            stream=f"app/{self.app}",
        )
        fields = {"image": made.image, "stack": made.stack, "processes": made.processes, "buildpack": made.buildpack}
        self.story.after(push, BuildSucceeded(app=self.app, attempt=1, commit=commit, output=BLOB, **fields))
        released = self.story.record(
            ReleaseCreated(**release(self.number, app=self.app, image=made.image, commit=commit).model_dump())
        )
        where = {"hosts": [], "upstreams": [], "replaces": None, "push": ""}
        self.story.after(released, RoutePublished(app=self.app, release=self.number, attempt=1, **where))
        return made.image


@pytest.fixture
def workshop(tmp_path):
    client = docker.DockerClient.from_env(version="1.41")
    workshop = Kept(client, tmp_path)
    yield workshop
    workshop.close()
    client.close()


def test_what_no_release_needs_goes_with_the_dependencies_that_only_it_rested_on(workshop):
    old, *made = (workshop.serve({**running("pass"), "n": str(number)}) for number in range(7))
    assert len(workshop.images()) == 14
    gone = retention.clean_up(workshop.ports)
    assert [image.kind for image in gone] == ["app", "dependencies"]
    assert gone[0].id == old
    assert all(image.size < 50 << 20 for image in gone), "what they rest on does not count"
    assert set(made) < set(workshop.images())
    assert len(workshop.images()) == 12
    assert retention.clean_up(workshop.ports) == []


def test_what_a_container_uses_or_somebody_named_stays(workshop):
    first, second, third = (workshop.serve({**NULL, "n": str(number)}) for number in range(3))
    for number in range(6):
        workshop.serve({**NULL, "n": f"more {number}"})
    labels = {"pushlog.instance": workshop.settings.instance}
    user = workshop.client.api.create_container(first, ["true"], labels=labels)["Id"]  # not even started
    name = f"kept-{workshop.settings.instance}"
    workshop.client.api.tag(second, name)
    assert [image.id for image in retention.clean_up(workshop.ports)] == [third]
    workshop.client.api.remove_container(user)
    workshop.client.api.remove_image(name)
    assert {image.id for image in retention.clean_up(workshop.ports)} == {first, second}


def test_the_source_of_a_shredded_app_goes_once_it_is_old(workshop):
    blobs = workshop.ports.blobs
    source = blobs.put_bytes(b"print('hello')")
    push = PushReceived(app=workshop.app, ref="refs/heads/main", old=None, new=f"{1:040d}", source=source)
    workshop.story.record(push, stream=f"app/{workshop.app}")
    workshop.story.record(AppDestroyed(app=workshop.app, name="hello"))
    workshop.story.record(AppShredded(app=workshop.app, name="hello"))
    retention.clean_up(workshop.ports)
    assert blobs.path(source), "a push of the same source may be under way"
    os.utime(blobs.path(source), (0, time.time() - YOUNG - 1))
    retention.clean_up(workshop.ports)
    with pytest.raises(KeyError):
        blobs.path(source)


def test_another_instances_images_and_those_of_no_app_are_not_looked_at(workshop):
    workshop.serve(NULL)
    other = workshop.settings.model_copy(update={"instance": "another"})
    assert retention.found(workshop.client, other) == []
    (found,) = retention.found(workshop.client, workshop.settings)
    assert (found.app, found.kind, found.named) == (workshop.app, "app", True)
