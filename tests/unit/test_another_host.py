"""What the services know and do where the network has other addresses, and where images are not there."""

import threading
from types import SimpleNamespace

import pytest

from builder.state import State as BuilderState
from deployer import move, spec
from deployer.answers import endpoints
from deployer.on_release_created import Hopeless, image_settled, refuse_hopeless
from deployer.state import State as DeployerState
from router.state import State as RouterState
from services.errors import Refused, Unavailable
from services.events import (
    DeployFailed,
    DeployStarted,
    DeploySucceeded,
    ImageLost,
    ImageRestored,
    RoutePublished,
    RouteRejected,
)
from services.settings import Settings
from tests.unit.story import APP, IMAGE, OTHER, Story, release, slot

HERE = "sha256:" + "7" * 64
NEXT = "sha256:" + "2" * 64
SUBNET = "10.77.0.0/24"


class Scene(Story):
    """An app that was deployed with two web processes on another host."""

    def __init__(self):
        self.builder, self.deployer, self.router = BuilderState(), DeployerState(), RouterState()
        super().__init__(self.builder, self.deployer, self.router)
        self.app()
        self.pushed = self.push()
        self.built(self.pushed)
        self.created = self.record(release(formation={"web": 2}))
        self.slots = [slot(1, made_by=self.created.id), slot(2, made_by=self.created.id)]
        self.deployed(self.created, self.slots)
        self.ports = SimpleNamespace(
            log=self.log,
            projections=self.projections,
            state=self.deployer,
            waiting=set(),
            look=threading.Event(),
            containers=SimpleNamespace(list=list),
        )

    def deployed(self, created, slots, hosts=("hello.localhost",)):
        """Record that a release serves."""
        number = created.data.number
        for event in (DeployStarted, DeploySucceeded):
            self.after(created, event(app=APP, release=number, attempt=1, slots=slots))
        upstreams = [f"{each.address}:{each.port}" for each in slots]
        route = {"hosts": list(hosts), "upstreams": upstreams, "replaces": None, "push": ""}
        self.after(created, RoutePublished(app=APP, release=number, attempt=1, **route))

    @property
    def known(self):
        """The app as the deployer knows it."""
        return self.deployer.apps[APP]

    def restored(self, image=IMAGE):
        """Record that an image is another one here."""
        self.after(self.pushed, ImageRestored(app=APP, image=image, restored=HERE, stack=IMAGE))

    def lost(self, image=IMAGE):
        """Record that an image is lost."""
        self.after(self.pushed, ImageLost(app=APP, image=image, reason="a package is gone"))


# The network


def test_what_serves_moves_into_the_network_and_the_route_leads_there():
    scene = Scene()
    move.into(scene.ports, SUBNET)
    moved, taken = scene.log.read(scene.log.head().position - 2)
    assert (moved.type, moved.stream, taken.type) == ("containers.moved", f"work/{scene.created.id}", "addresses.taken")
    addresses = [each.address for each in scene.known.current.slots]
    assert len(set(addresses)) == 2
    assert all(address.startswith("10.77.0.") for address in addresses)
    assert taken.data.addresses == addresses
    assert scene.router.apps[APP].route.upstreams == [f"{address}:5000" for address in addresses]
    same = [each.model_copy(update={"address": ""}) for each in scene.slots]
    assert [each.model_copy(update={"address": ""}) for each in scene.known.current.slots] == same


def test_what_has_moved_stays_and_nothing_more_is_recorded():
    scene = Scene()
    move.into(scene.ports, SUBNET)
    head = scene.log.head()
    move.into(scene.ports, SUBNET)
    assert scene.log.head() == head


def test_only_what_is_outside_moves():
    scene = Scene()
    inside = slot(1, address="10.77.0.99", made_by=scene.created.id)
    scene.deployed(scene.created, [inside, slot(2, made_by=scene.created.id)])
    move.into(scene.ports, SUBNET)
    assert scene.known.current.slots[0] == inside
    assert scene.known.current.slots[1].address.startswith("10.77.0.")


@pytest.mark.parametrize("address", ["::1", "fe80::1", "999.1.1.1", "10.77.0"])
def test_what_is_no_address_of_such_a_network_moves_too(address):
    scene = Scene()
    scene.deployed(scene.created, [slot(1, address=address, made_by=scene.created.id)])
    move.into(scene.ports, SUBNET)
    assert scene.known.current.slots[0].address.startswith("10.77.0.")


def test_a_network_that_is_full_moves_nothing():
    scene = Scene()
    many = [slot(number, made_by=scene.created.id) for number in range(1, 17)]
    scene.deployed(scene.created, many)
    head = scene.log.head()
    with pytest.raises(Unavailable, match="no free address"):
        move.into(scene.ports, "10.77.0.0/27")
    assert scene.log.head() == head


def test_an_app_without_web_has_no_route_to_lead_anywhere():
    scene = Scene()
    scene.deployed(scene.created, scene.slots, hosts=())
    before = scene.router.apps[APP].route
    move.into(scene.ports, SUBNET)
    assert scene.router.apps[APP].route == before


def test_what_came_up_to_serve_next_moves_too_and_what_both_have_goes_to_one_place():
    scene = Scene()
    own = slot(2, made_by="next")
    created = came_up(scene, [scene.slots[0], own])
    move.into(scene.ports, SUBNET)
    now, later = scene.known.current.slots, scene.known.candidate.slots
    assert now[0] == later[0]
    assert len({each.address for each in (*now, *later)}) == 3
    assert move.astray(scene.known, SUBNET) == set()
    assert scene.log.read(scene.log.head().position - 2)[0].stream == f"work/{created.id}"
    assert scene.router.apps[APP].route.upstreams == [f"{each.address}:5000" for each in now]


def test_what_is_still_coming_up_moves_nowhere():
    scene = Scene()
    created = scene.record(release(2))
    scene.after(created, DeployStarted(app=APP, release=2, attempt=1, slots=[slot(9)]))
    move.into(scene.ports, SUBNET)
    assert scene.known.candidate.slots == (slot(9),)


# What came up elsewhere and was not routed there


def came_up(scene, slots=None):
    """Record that the release v2 came up and is not routed yet."""
    created = scene.record(release(2))
    slots = slots or [slot(1, made_by=created.id)]
    for event in (DeployStarted, DeploySucceeded):
        scene.after(created, event(app=APP, release=2, attempt=1, slots=slots))
    return created


def asked(scene, images):
    """Where v2 answers, on a host that has these images and no container."""
    scene.ports.containers = SimpleNamespace(list=lambda app: [], has_image=lambda image: image in images)
    return endpoints(scene.ports, APP, 2)


def test_containers_that_are_gone_are_waited_for():
    scene = Scene()
    came_up(scene)
    with pytest.raises(Unavailable, match=r"hello web\.1 is gone and is brought up again"):
        asked(scene, {IMAGE})
    assert scene.ports.look.is_set()


def test_so_is_the_image_that_they_need_unless_it_is_lost():
    scene = Scene()
    came_up(scene)
    assert asked(scene, set()) is None
    scene.lost()
    with pytest.raises(Refused, match="a package is gone"):
        asked(scene, set())


def test_what_was_rejected_has_no_containers_to_be_routed_to():
    scene = Scene()
    scene.after(came_up(scene), RouteRejected(app=APP, release=2, attempt=1, reason="no"))
    with pytest.raises(Refused, match="v2 has no containers"):
        asked(scene, {IMAGE})


# The images


def needed(scene):
    return scene.builder.apps[APP].standing()


def test_the_images_of_the_current_release_and_of_later_ones_are_needed():
    scene = Scene()
    assert needed(scene) == {1: IMAGE}
    second = scene.push(new="d" * 40)
    scene.built(second, NEXT)
    created = scene.record(release(2, image=NEXT))
    assert needed(scene) == {1: IMAGE, 2: NEXT}
    scene.deployed(created, [slot(1, made_by=created.id)])
    assert needed(scene) == {2: NEXT}
    scene.record(release(3))  # back to the first one
    assert needed(scene) == {2: NEXT, 3: IMAGE}
    scene.after(created, DeployFailed(app=APP, release=3, attempt=1, reason="no", output=None))
    assert needed(scene) == {2: NEXT}


def test_an_image_that_no_build_made_is_nobodys_to_make_again():
    scene = Scene()
    scene.record(release(2, image=NEXT))
    assert needed(scene) == {1: IMAGE}


def test_a_restored_image_is_what_containers_are_made_of_and_changes_no_digest():
    scene = Scene()
    before = spec.digest(scene.created.data, "web", 1)
    scene.restored()
    assert needed(scene) == {1: HERE}
    made = spec.container(Settings(), scene.known, scene.created.data, scene.slots[0], {}, "name", 1 << 15)
    assert made.image == HERE
    assert spec.digest(scene.created.data, "web", 1) == before


def test_a_lost_image_ends_its_deploy_and_is_tried_again_for_the_next_release():
    scene = Scene()
    scene.lost()
    assert needed(scene) == {}
    with pytest.raises(Hopeless, match=r"the image of v1 is gone and could not be made again: a package is gone"):
        refuse_hopeless(scene.known, scene.created.data, 1)
    again = scene.record(release(2))
    assert needed(scene) == {1: IMAGE, 2: IMAGE}
    refuse_hopeless(scene.known, again.data, 1)


def test_a_container_of_an_image_that_is_made_again_is_no_leftover():
    scene = Scene()
    assert scene.builder.attempts() == set()
    assert scene.builder.restorable() == {(scene.pushed.id, scene.builder.apps[APP].builds[scene.pushed.id].attempt)}


class Output:
    """What a pusher is told."""

    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)


def settled(scene, images, output):
    """Whether the deploy of the first release can go on, with these images there."""
    scene.ports.containers = SimpleNamespace(has_image=lambda image: image in images)
    return image_settled(scene.ports, scene.known, scene.created, output)


def test_a_deploy_whose_image_is_not_there_is_put_off_and_its_pusher_told_once():
    scene, output = Scene(), Output()
    assert not settled(scene, {HERE}, output)
    assert not settled(scene, {HERE}, output)
    assert output.lines == ["       Its image is not on this host; waiting until it is built again"]
    scene.restored()
    assert settled(scene, {HERE}, output)
    assert len(output.lines) == 1


def test_a_deploy_goes_on_to_its_failure_once_its_image_is_known_to_be_lost():
    scene = Scene()
    assert not settled(scene, set(), Output())
    scene.lost()
    assert settled(scene, set(), Output())


def test_a_deploy_of_an_image_that_is_there_says_nothing():
    scene, output = Scene(), Output()
    assert settled(scene, {IMAGE}, output)
    assert output.lines == []


def test_another_app_is_not_concerned():
    scene = Scene()
    scene.app(OTHER, "other")
    scene.restored()
    assert scene.deployer.apps[OTHER].restored == {}
    assert scene.builder.apps[OTHER].standing() == {}
