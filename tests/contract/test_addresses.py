"""Two apps that are deployed by two processes at the same moment never get one address."""

from deployer.on_release_created import claim
from deployer.ports import build
from services.events import AddressesTaken, DeployStarted, ReleaseRetired
from services.keyring import Keyring
from services.platform import assemble
from tests.contract.crashworld import settings
from tests.unit.story import APP, OTHER, Story, release

SMALL = "10.77.0.0/27"


class Interrupted:
    """A log in which something happens right before the first append."""

    def __init__(self, log, before):
        self._log, self._before = log, before

    def append(self, *args, **kwargs):
        before, self._before = self._before, lambda: None
        before()
        return self._log.append(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self._log, name)


def deployer(home, log, name):
    """A deployer's ports."""
    return build(assemble(settings(home), log, Keyring(None, bytes(32)), name))


def take(ports, created):
    """Claim a release; the addresses of its containers."""
    ports.projections.catch_up()
    found = claim(ports, ports.state.apps[created.data.app], created, SMALL, [])
    return found and [slot.address for slot in found[1]]


def two_releases(formation=1):
    story = Story()
    created = []
    for app, name in ((APP, "one"), (OTHER, "two")):
        story.app(app, name)
        created.append(story.record(release(app=app, formation={"web": formation})))
    return story, created


def test_who_chose_an_address_that_was_taken_meanwhile_chooses_another(tmp_path):
    story, (first, second) = two_releases(formation=7)
    chosen = []
    faster = deployer(tmp_path, story.log, "faster")
    slower = deployer(tmp_path, Interrupted(story.log, lambda: chosen.extend(take(faster, first))), "slower")
    # the place where one begins follows from the release's id: 7 and 7 of 15 would most likely meet
    other = take(slower, second)
    assert len(chosen) == len(other) == 7
    assert not set(chosen) & set(other)
    started = [event for event in story.log.read(0) if isinstance(event.data, DeployStarted)]
    assert len(started) == 2
    assert all(event.data.attempt == 1 for event in started), "who chose anew has not used up an attempt"


def test_what_is_taken_is_recorded_with_the_claim_or_not_at_all(tmp_path):
    story, (first, _) = two_releases()
    (address,) = take(deployer(tmp_path, story.log, "one"), first)
    started, taken = story.log.read(0)[-2:]
    assert [slot.address for slot in started.data.slots] == taken.data.addresses == [address]
    assert isinstance(taken.data, AddressesTaken)
    assert take(deployer(tmp_path, story.log, "two"), first) is None
    assert story.log.read(0)[-1] == taken


def test_addresses_of_apps_without_new_containers_are_nobodys_business(tmp_path):
    story, (first, second) = two_releases()
    ports = deployer(tmp_path, story.log, "one")
    take(ports, first)
    version = ports.state.version
    story.record(ReleaseRetired(app=APP, release=1, by=2))
    story.record(release(2, app=APP, formation={"web": 0}))
    assert take(ports, story.log.read(0)[-1]) == []
    assert ports.state.version == version
    assert take(ports, second)
