"""The failure that ends work which keeps failing: of which type, recorded once, and shown to who waits for it."""

import json
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of eventlet, which nothing here runs on
    from builder.service import Service as Builder
    from configsvc.service import Service as Configsvc
    from deployer.service import Service as Deployer
    from gitreceiver.service import Service as Gitreceiver
    from router.service import Service as Router
    from services.hops import On, sentence

import errno

from configsvc.on_build_succeeded import given_up as release_refused
from deployer.state import State as Deploys
from gitreceiver import stories
from gitreceiver.state import State as Refs
from services.chain import Cause, Draft
from services.claims import Claims
from services.decide import conclude, give_up, outcome_id
from services.errors import Unavailable
from services.events import (
    BuildFailed,
    BuildStarted,
    DeployStarted,
    DeploySucceeded,
    PushReceived,
    RefRefused,
    ReleaseRefused,
    RetireFailed,
    RoutePublished,
    app_stream,
    decode,
    work_stream,
)
from services.names import UUID_PATTERN, matches
from services.todo import Pending
from tests.unit.story import APP, WHO, Story, release, slot

SERVICES = (Builder, Configsvc, Deployer, Gitreceiver, Router)
SAMPLES = Path(__file__).parents[1] / "contract" / "samples"
HOPS = [
    (service, hop)
    for service in SERVICES
    for method in vars(service).values()
    for hop in getattr(method, "nameko_entrypoints", ())
    if isinstance(hop, On) and hop.until
]


def sample(event):
    stored = json.loads((SAMPLES / f"{event.TYPE}.{event.SCHEMA}.json").read_text())
    return decode(event.TYPE, event.SCHEMA, json.dumps(stored["data"]))


def claims(story, name="one"):
    return Claims(story.log, name, 20, lambda: 0.0)


@pytest.mark.parametrize(("service", "hop"), HOPS, ids=lambda part: getattr(part, "TYPE", ""))
def test_a_hop_gives_up_with_a_failure_of_its_own(service, hop):
    trigger = Story().record(sample(hop.event))
    draft = hop.gives_up(trigger, 3, "the disk is full")
    assert isinstance(draft.event, hop.until)
    assert service.name == draft.event.EMITTER
    assert draft.event.TYPE.endswith((".failed", ".refused", ".rejected"))
    assert "the disk is full" in draft.event.reason
    assert (draft.subject, draft.event.app) == (trigger.subject, trigger.data.app)


def test_a_hop_that_does_not_say_how_it_gives_up_is_a_mistake():
    with pytest.raises(TypeError, match=r"an outcome of push\.received"):
        On(PushReceived, until=(BuildFailed,))


def failure(push, attempts=0):
    return Draft(
        work_stream(push.id), "hello", BuildFailed(app=APP, attempt=attempts, reason="it keeps failing", output=None)
    )


def test_what_is_given_up_is_done(tmp_path):
    pending = Pending(PushReceived, (BuildFailed,))
    story = Story(pending)
    push, after = story.push(), story.push()
    assert give_up(story.log, claims(story), push, failure(push), "builder", 0)
    story.projections.catch_up()
    assert pending.heads() == [after]
    assert story.log.read(2)[0].causationid == push.id


def test_what_another_process_works_at_is_not_given_up():
    story = Story()
    push = story.push()
    lease = claims(story, "two").claim(push, BuildStarted(app=APP, attempt=1), 1, "builder")
    assert not give_up(story.log, claims(story), push, failure(push, 1), "builder", 1)
    assert conclude(story.log, push, failure(push).event, "builder", lease)


def test_what_was_claimed_or_done_meanwhile_is_not_given_up():
    story = Story()
    push = story.push()
    story.after(push, BuildStarted(app=APP, attempt=1))
    assert not give_up(story.log, claims(story), push, failure(push), "builder", 0)


def test_ones_own_claim_ends_when_the_work_is_given_up():
    story = Story()
    push = story.push()
    one = claims(story)
    one.claim(push, BuildStarted(app=APP, attempt=1), 1, "builder")
    assert give_up(story.log, one, push, failure(push, 1), "builder", 1)
    assert story.log.leases() == {}


def test_an_outcome_on_the_apps_stream_is_recorded_once_whichever_it_is():
    story = Story()
    story.app()
    build = story.built(story.push())
    made = Draft(app_stream(APP), "hello", release(), outcome_id(build, "configsvc"))
    story.log.append([made], Cause.after("configsvc", build))
    head = story.log.head()
    give_up(story.log, claims(story), build, release_refused(build, 0, "no"), "configsvc", 0)
    assert story.log.head() == head


def test_an_outcomes_id_is_a_uuid_of_its_own_for_each_service():
    story = Story()
    push, other = story.push(), story.push()
    ids = {outcome_id(push, "deployer"), outcome_id(push, "gitreceiver"), outcome_id(other, "deployer")}
    assert len(ids) == 3
    assert all(matches(UUID_PATTERN, id_) and id_[14] == "7" for id_ in ids)
    assert outcome_id(push, "deployer") in ids


def test_attempts_are_what_was_claimed():
    pending = Pending(PushReceived, (BuildFailed,))
    story = Story(pending)
    push = story.push()
    assert pending.attempts(push) == 0
    story.after(push, BuildStarted(app=APP, attempt=1))
    story.after(push, BuildStarted(app=APP, attempt=2))
    assert pending.attempts(push) == 2


# What is told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Unavailable("Docker does not answer in time"), "Docker does not answer in time"),
        (KeyError("password=hunter2"), "builder failed: KeyError; its log says more"),
        (OSError(errno.ENOSPC, "x", "/secret"), "builder failed: No space left on device; its log says more"),
    ],
)
def test_a_reason_is_a_sentence_without_secrets(error, told):
    assert sentence(error, "builder") == told


def url(host):
    return f"http://{host}"


def test_the_pusher_is_told_that_no_release_was_made():
    story = Story()
    refused = story.record(ReleaseRefused(app=APP, reason="the log's database: full"))
    text, code = stories.push_ending(url)(refused)
    assert code == 1
    assert text.startswith(" !     The build was not released: the log's database: full\n")


def test_the_pusher_is_told_where_it_serves_although_the_branch_did_not_move():
    story = Story()
    ending = stories.push_ending(url)
    route = RoutePublished(
        app=APP, release=1, attempt=1, hosts=["h.localhost"], upstreams=["10.0.0.1:1"], replaces=None, push="p"
    )
    assert ending(story.record(route)) is None
    text, code = ending(story.record(RefRefused(app=APP, release=1, reason="gitreceiver failed: KeyError")))
    assert code == 1
    assert "http://h.localhost" in text
    assert " !     It serves, but its branch did not move: gitreceiver failed: KeyError\n" in text


@pytest.mark.parametrize("event", [ReleaseRefused(app=APP, reason="no"), RefRefused(app=APP, release=1, reason="no")])
def test_the_next_push_need_not_wait_for_one_that_was_given_up(event):
    refs = Refs()
    story = Story(refs)
    story.app()
    push = story.push()
    assert refs.apps[APP].pending
    story.record(event, Cause.after("test", push))
    assert refs.apps[APP].pending == {}


def test_what_could_not_be_retired_is_no_releases_any_more():
    deploys = Deploys()
    story = Story(deploys)
    story.app()
    for number in (1, 2):
        created = story.record(release(number))
        for event in (DeployStarted, DeploySucceeded):
            story.after(created, event(app=APP, release=number, attempt=1, slots=[slot(number)]))
        route = {"hosts": [], "upstreams": [], "replaces": number - 1 or None, "push": ""}
        story.record(RoutePublished(app=APP, release=number, attempt=1, **route), WHO)
    assert deploys.apps[APP].slots() == [slot(2), slot(1)]
    story.record(RetireFailed(app=APP, release=1, by=2, reason="Docker does not answer in time"))
    assert deploys.apps[APP].slots() == [slot(2)]
