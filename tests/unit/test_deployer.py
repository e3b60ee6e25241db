"""What the deployer plans and tells Docker, as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer import mend, plan, spec
from deployer.on_release_created import Hopeless, refuse_hopeless
from deployer.state import Serving, State
from services.claims import MAX_ATTEMPTS
from services.errors import Unavailable
from services.events import DeployFailed, DeployStarted, DeploySucceeded, ReleaseRetired, RoutePublished, work_stream
from services.settings import Settings
from tests.unit.story import APP, IMAGE, Story, release, slot

SUBNET = "10.77.0.0/20"


def planned(story, wanted, attempt=1, current=None, alive=(), taken=()):
    return plan.slots(story.record(wanted), attempt, current, alive, SUBNET, taken)


def test_a_release_runs_its_formation():
    wanted = release(processes={"web": "w", "worker": "k", "cron": "c"}, formation={"web": 2, "worker": 1, "cron": 0})
    slots = planned(Story(), wanted)
    assert [(s.process, s.number) for s in slots] == [("web", 1), ("web", 2), ("worker", 1)]
    assert len({s.address for s in slots}) == 3


def test_a_container_that_would_be_the_same_is_kept():
    story = Story()
    old = planned(story, release(1))
    new = planned(story, release(2, formation={"web": 2}), current=Serving(1, 1, tuple(old)), alive=old)
    assert new[0] == old[0]
    assert new[1].made_by != old[0].made_by


def test_a_container_that_does_not_run_is_not_kept():
    story = Story()
    old = planned(story, release(1))
    assert planned(story, release(2), current=Serving(1, 1, tuple(old)), alive=[]) != old


@pytest.mark.parametrize(
    "change", [{"config": {"A": "sealed"}}, {"image": "sha256:" + "2" * 64}, {"processes": {"web": "x"}}]
)
def test_a_container_that_would_differ_is_made_anew(change):
    story = Story()
    old = planned(story, release(1))
    assert planned(story, release(2, **change), current=Serving(1, 1, tuple(old)), alive=old)[0] != old[0]


def test_a_new_domain_keeps_every_container():
    story = Story()
    old = planned(story, release(1))
    assert planned(story, release(2, domains=["x.test"]), current=Serving(1, 1, tuple(old)), alive=old) == old


@given(st.sets(st.integers(16, 4094)), st.text())
def test_an_address_is_in_the_subnet_and_not_taken(taken, seed):
    used = {f"10.77.{n // 256}.{n % 256}" for n in taken}
    address = next(plan.addresses(SUBNET, used, seed))
    assert address not in used
    assert address.startswith("10.77.")


def test_a_full_subnet_is_said_to_be_full():
    with pytest.raises(Unavailable, match="no free address"):
        list(plan.addresses("10.0.0.0/27", (), "x"))


def test_the_platforms_variables_win_over_config():
    app = State()
    story = Story(app)
    story.app()
    wanted = release()
    made = spec.container(Settings(), app.apps[APP], wanted, slot(), {"PORT": "1", "A": "b"}, "hello.web.1", 1 << 15)
    assert made.environment == {"PORT": "5000", "DYNO": "web.1", "GIT_REV": wanted.commit, "A": "b"}
    assert made.labels["pushlog.release"] == "1"
    assert spec.labelled(made.labels) == (APP, 1, "web", 1)


@pytest.mark.parametrize(
    ("kernel", "containers", "each"),
    [(32_768, 1, 1024), (32_768, 4, 1024), (32_768, 8, 512), (7_700, 1, 240), (7_700, 100, 64), (4_194_304, 1, 4096)],
)
def test_an_apps_containers_leave_processes_to_the_host(kernel, containers, each):
    assert spec.pids(kernel, containers) == each
    assert each * containers <= kernel / 7 or each == spec.FEWEST_PIDS


def test_the_process_limit_of_the_settings_is_taken_as_it_is_and_changes_no_digest():
    state = State()
    Story(state).app()
    before = spec.digest(release(), "web", 1)
    made = spec.container(Settings(app_pids=99), state.apps[APP], release(), slot(), {}, "hello.web.1", 1 << 15)
    assert (made.pids, spec.digest(release(), "web", 1)) == (99, before)


def test_names_of_other_instances_than_the_default_have_theirs_in_front():
    assert spec.container_name(Settings(), "hello", slot()) == "hello.web.1"
    assert spec.container_name(Settings(instance="demo"), "hello", slot()) == "demo.hello.web.1"


class Deploys(Story):
    """A story with the deployer's state and its events."""

    def __init__(self):
        self.state = State()
        super().__init__(self.state)
        self.app()

    @property
    def known(self):
        return self.state.apps[APP]

    def deploy(self, number, *slots, routed=True):
        created = self.record(release(number))
        started = DeployStarted(app=APP, release=number, attempt=1, slots=list(slots))
        self.after(created, started)
        self.after(created, DeploySucceeded(app=APP, release=number, attempt=1, slots=list(slots)))
        if routed:
            self.route(number, created)
        return created

    def route(self, number, created):
        route = RoutePublished(
            app=APP, release=number, attempt=1, hosts=[], upstreams=[], replaces=number - 1 or None, push=""
        )
        self.record(route, stream=work_stream(created.id))


def test_a_candidate_serves_once_it_is_routed():
    story = Deploys()
    created = story.deploy(1, slot(1), routed=False)
    assert story.known.current is None
    story.route(1, created)
    assert (story.known.current.slots, story.known.candidate) == ((slot(1),), None)


def test_what_a_route_replaces_leaves_until_it_is_retired():
    story = Deploys()
    story.deploy(1, slot(1))
    story.deploy(2, slot(2))
    assert [s.address for s in story.known.slots()] == ["10.0.0.2", "10.0.0.1"]
    story.record(ReleaseRetired(app=APP, release=1, by=2))
    assert story.known.slots() == [slot(2)]


def test_a_kept_container_never_leaves():
    story = Deploys()
    story.deploy(1, slot(1))
    story.deploy(2, slot(1), slot(2))
    assert story.known.retiring == []


def test_only_releases_that_containers_come_from_or_that_may_still_serve_are_remembered():
    story = Deploys()
    kept = slot(1, made_by=story.record(release(1)).id)
    for number in (2, 3, 4):
        story.deploy(number, kept, slot(number))
        story.record(ReleaseRetired(app=APP, release=number - 1, by=number))
    story.record(release(5))
    assert list(story.known.releases) == [1, 4, 5]


def test_a_failed_release_is_not_tried_through_another_that_carries_its_image():
    story = Deploys()
    story.record(release(1, push="p"))
    story.record(DeployFailed(app=APP, release=1, attempt=1, reason="no", output=None))
    with pytest.raises(Hopeless, match="carries the image of v1"):
        refuse_hopeless(story.known, release(2), 1)
    refuse_hopeless(story.known, release(2, image="sha256:" + "2" * 64), 1)


def test_an_image_that_served_before_is_tried_again():
    story = Deploys()
    story.deploy(1, slot(1))
    story.record(release(2, push="p", image=IMAGE))
    story.record(DeployFailed(app=APP, release=2, attempt=1, reason="no", output=None))
    refuse_hopeless(story.known, release(3), 1)


def test_a_deploy_that_never_ends_is_given_up():
    with pytest.raises(Hopeless, match="given up"):
        refuse_hopeless(Deploys().known, release(1), MAX_ATTEMPTS + 1)


def test_a_container_that_keeps_ending_is_started_ever_more_seldom():
    pauses = mend.Pauses({})
    starts = [second for second in range(100) if pauses.due(("web",), float(second + 1))]
    assert starts == [0, 1, 3, 7, 15, 31, 63]


def test_a_container_that_ran_for_long_is_started_at_once():
    pauses = mend.Pauses({})
    assert pauses.due(("web",), 1.0)
    assert pauses.due(("web",), 1000.0)
    assert pauses.due(("web",), 1001.0)
