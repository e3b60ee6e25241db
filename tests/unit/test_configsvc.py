"""What configsvc decides, on a log in memory."""

import pytest

from configsvc import apps, changes, releases, revert
from configsvc.state import State
from services.chain import Draft
from services.decide import commit
from services.errors import BadInput, NoSuchApp, Refused
from services.events import (
    DeployFailed,
    DomainTaken,
    NameTaken,
    ReleaseCreated,
    RoutePublished,
    app_stream,
    domain_stream,
    name_stream,
    work_stream,
)
from tests.unit.story import APP, IMAGE, OTHER, WHO, Story

DOMAIN = "example.com"


class Platform(Story):
    """A story with configsvc's state, and its commands."""

    def __init__(self):
        self.state = State()
        super().__init__(self.state)

    def do(self, decide, *args):
        return commit(self.log, self.projections, lambda: decide(self.state, *args), WHO)

    def create(self, name="hello", app=APP):
        return self.do(apps.create, app, name, DOMAIN)

    def released(self, image=IMAGE, **processes):
        push = self.push()
        draft = releases.of_build(self.state.apps[APP], self.built(push, image, **processes))
        return self.log.append([draft], WHO)[0] if self.projections.catch_up() else None

    def routed(self, release):
        self.projections.catch_up()
        number = release.data.number
        self.record(
            RoutePublished(app=APP, release=number, attempt=1, hosts=[], upstreams=[], replaces=None, push=""),
            stream=work_stream(release.id),
        )

    def failed(self, release):
        number = release.data.number
        self.record(
            DeployFailed(app=APP, release=number, attempt=1, reason="no", output=None), stream=work_stream(release.id)
        )

    @property
    def app_state(self):
        return self.state.apps[APP]


@pytest.fixture
def platform():
    return Platform()


def made(recorded):
    """The release among recorded events."""
    return next(event.data for event in recorded if isinstance(event.data, ReleaseCreated))


def test_a_new_app_has_its_name_and_a_domain_of_the_platform(platform):
    platform.create()
    assert platform.app_state.domains == ["hello.example.com"]
    assert platform.state.names == {"hello": APP}


def test_an_app_has_no_domain_where_that_would_be_no_host(platform):
    platform.create("xn--99999999")
    assert platform.app_state.domains == []


def test_a_domain_that_an_older_version_took_can_be_kept_removed_and_had_back(platform):
    platform.create()
    platform.record(DomainTaken(app=APP, host="intranet"), stream=domain_stream("intranet"))
    first = platform.released()
    platform.routed(first)
    platform.do(changes.config, "hello", {"A": "sealed"}, [], True)
    made(platform.do(changes.domains, "hello", [], ["intranet"], DOMAIN))
    assert platform.app_state.domains == ["hello.example.com"]
    with pytest.raises(BadInput, match="single label"):
        platform.do(changes.domains, "hello", ["intranet"], [], DOMAIN)
    platform.do(revert.rollback, "hello", first.data.number, [], DOMAIN)
    assert platform.app_state.domains == ["hello.example.com", "intranet"]


def test_a_name_belongs_to_one_app(platform):
    platform.create()
    with pytest.raises(Refused, match="hello is taken"):
        platform.create(app=OTHER)


def test_of_two_that_create_one_name_at_once_the_log_lets_one(platform):
    decision = apps.create(platform.state, APP, "hello", DOMAIN)
    rival = Draft(name_stream("hello"), "hello", NameTaken(app=OTHER, name="hello"))
    platform.log.append([rival], WHO)
    with pytest.raises(Exception, match="version 1, not 0"):
        platform.log.append(decision.drafts, WHO, expect=decision.expect)


def test_a_destroyed_app_frees_its_name_and_domains(platform):
    platform.create()
    platform.do(changes.domains, "hello", ["shop.test"], [], DOMAIN)
    platform.do(apps.destroy, "hello")
    platform.create(app=OTHER)
    platform.do(changes.domains, "hello", ["shop.test"], [], DOMAIN)
    assert platform.state.domains["shop.test"] == OTHER


def test_a_destroyed_app_does_not_come_back(platform):
    platform.create()
    platform.do(apps.destroy, "hello")
    with pytest.raises(Refused, match="hello was destroyed meanwhile"):
        platform.create()


def test_an_unknown_app_is_said_to_be_none(platform):
    with pytest.raises(NoSuchApp, match="App nope does not exist"):
        platform.do(changes.config, "nope", {"A": "x"}, [], True)


def test_settings_of_an_app_without_an_image_make_no_release(platform):
    platform.create()
    assert [event.type for event in platform.do(changes.config, "hello", {"A": "x"}, [], True)] == ["config.changed"]
    assert made([platform.released()]).config == {"A": "x"}


def test_config_is_set_and_unset_and_each_makes_a_release(platform):
    platform.create()
    platform.routed(platform.released())
    assert made(platform.do(changes.config, "hello", {"A": "x", "B": "y"}, [], True)).config == {"A": "x", "B": "y"}
    release = made(platform.do(changes.config, "hello", {}, ["A"], True))
    assert (release.number, release.config, release.change) == (3, {"B": "y"}, "Remove A config vars")


def test_unsetting_what_is_not_set_changes_nothing(platform):
    platform.create()
    assert platform.do(changes.config, "hello", {}, ["NOPE"], True) == []


def test_a_change_that_is_not_to_be_deployed_is_recorded_and_in_the_next_release(platform):
    platform.create()
    platform.routed(platform.released())
    assert not made(platform.do(changes.config, "hello", {"A": "x"}, [], False)).deploy
    assert made(platform.do(changes.config, "hello", {"B": "y"}, [], True)).config == {"A": "x", "B": "y"}


def test_a_change_during_a_deploy_carries_the_image_that_is_being_deployed(platform):
    platform.create()
    platform.routed(platform.released())
    newer = "sha256:" + "2" * 64
    platform.released(newer)
    assert made(platform.do(changes.config, "hello", {"A": "x"}, [], True)).image == newer


def test_a_change_after_a_failed_release_carries_the_image_that_serves(platform):
    platform.create()
    platform.routed(platform.released())
    platform.failed(platform.released("sha256:" + "2" * 64))
    assert made(platform.do(changes.config, "hello", {"A": "x"}, [], True)).image == IMAGE


def test_web_starts_at_one_and_others_at_none(platform):
    platform.create()
    assert made([platform.released(web="w", worker="k")]).formation == {"web": 1, "worker": 0}


def test_a_scale_holds_over_the_next_push(platform):
    platform.create()
    platform.routed(platform.released(web="w", worker="k"))
    platform.do(changes.scale, "hello", {"worker": 2}, True)
    assert made([platform.released(web="w", worker="k")]).formation == {"web": 1, "worker": 2}


def test_a_scale_that_the_network_has_no_addresses_for_is_refused_at_once(platform):
    platform.create()
    platform.create("other", OTHER)
    platform.routed(platform.released(web="serve", worker="work"))
    platform.projections.catch_up()
    with pytest.raises(Refused, match=r"8 containers of hello need 16 addresses.* 15 are free.* at most 7 containers"):
        platform.do(changes.scale, "hello", {"web": 5, "worker": 3}, True, 15)
    assert platform.app_state.formation == {}
    platform.do(changes.scale, "hello", {"web": 5, "worker": 2}, True, 15)
    with pytest.raises(Refused, match="8 containers of hello need 16 addresses"):
        platform.do(changes.scale, "hello", {"worker": 3}, False, 15)
    with pytest.raises(Refused, match=r"14 are free in the apps' network; use at most 7"):
        platform.do(changes.scale, "other", {"web": 8}, True, 15)
    platform.do(changes.scale, "hello", {"worker": 1}, True, 2)  # down goes in any case


def test_the_scale_that_is_already_there_changes_nothing(platform):
    platform.create()
    platform.routed(platform.released())
    assert platform.do(changes.scale, "hello", {"web": 1}, True) == []


@pytest.mark.parametrize("bad", [{"nope": 1}, {"web": -1}, {"web": 101}])
def test_a_bad_scale_is_refused(platform, bad):
    platform.create()
    platform.routed(platform.released())
    with pytest.raises(BadInput, match="allowed are"):
        platform.do(changes.scale, "hello", bad, True)


@pytest.mark.parametrize("host", ["example.com", "hello.example.com", "*.example.com"])
def test_a_domain_that_is_anothers_or_the_platforms_is_refused(platform, host):
    platform.create()
    platform.create("other", OTHER)
    with pytest.raises(Refused):
        platform.do(changes.domains, "other", [host], [], DOMAIN)
    assert platform.state.apps[OTHER].domains == ["other.example.com"]


@pytest.mark.parametrize("host", [DOMAIN, f"*.{DOMAIN}"])
def test_the_platforms_domain_and_all_below_it_are_no_apps_even_when_it_is_the_only_one(platform, host):
    platform.create()
    with pytest.raises(Refused, match=r"is the platform's own"):
        platform.do(changes.domains, "hello", [host], [], DOMAIN)


def test_the_default_domain_is_not_taken_from_an_app_that_has_it(platform):
    platform.create()
    platform.do(changes.domains, "hello", ["other.example.com"], [], DOMAIN)
    platform.create("other", OTHER)
    assert platform.state.apps[OTHER].domains == []


def test_domains_are_added_and_removed_with_a_release_of_both(platform):
    platform.create()
    platform.routed(platform.released())
    release = made(platform.do(changes.domains, "hello", ["a.test", "b.test"], ["hello.example.com"], DOMAIN))
    assert release.domains == ["a.test", "b.test"]


def test_releases_are_numbered_from_one_without_gaps(platform):
    platform.create()
    platform.failed(platform.released())
    platform.routed(platform.released())
    platform.do(changes.config, "hello", {"A": "x"}, [], True)
    assert list(platform.app_state.releases) == [1, 2, 3]
    assert [r.status for r in platform.app_state.releases.values()] == ["failed", "current", "pending"]


def test_the_stream_of_an_app_tells_its_version(platform):
    platform.create()
    assert platform.state.version(app_stream(APP)) == 1


def test_config_that_no_release_should_hold_is_refused_and_can_be_made_smaller(platform):
    platform.create()
    half = "x" * (changes.MAX_SEALED // 2)
    platform.do(changes.config, "hello", {"A": half, "B": half}, [], True)
    with pytest.raises(BadInput, match=r"^config: 524289 bytes of sealed values; allowed are 524288 an app$"):
        platform.do(changes.config, "hello", {"C": "x"}, [], True)
    platform.do(changes.config, "hello", {"C": "x"}, ["A"], True)
    assert sorted(platform.app_state.config) == ["B", "C"]
