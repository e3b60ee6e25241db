"""Rollback: what is recorded, what is said of it, and what is refused."""

import pytest

from configsvc import apps, changes, revert
from services.errors import BadInput, Refused
from tests.unit.story import OTHER
from tests.unit.test_configsvc import DOMAIN, Platform, made

NEWER = "sha256:" + "2" * 64


@pytest.fixture
def platform():
    """An app at v5: v1 served, then config, scale and domains changed and a newer image came, each routed."""
    platform = Platform()
    platform.create()
    platform.routed(platform.released(web="w", worker="k"))
    for decide, *args in (
        (changes.config, {"A": "x"}, [], True),
        (changes.scale, {"worker": 2}, True),
        (changes.domains, ["shop.test"], ["hello.example.com"], DOMAIN),
    ):
        routed(platform, platform.do(decide, "hello", *args))
    platform.routed(platform.released(NEWER, web="w2", worker="k"))
    return platform


def routed(platform, recorded):
    platform.routed(next(event for event in recorded if event.type == "release.created"))


def back(platform, number=None, keep=()):
    return platform.do(revert.rollback, "hello", number, keep, DOMAIN)


def settings(app):
    return app.config, changes.wanted(app), app.domains


def test_a_rollback_is_a_release_with_all_that_the_old_one_was_and_the_settings_are_as_they_were(platform):
    old = platform.app_state.releases[1].data
    new = made(back(platform, 1))
    assert revert.content(new) == revert.content(old)
    assert (new.number, new.change, new.push, new.deploy) == (6, "Rollback to v1", "", True)
    assert settings(platform.app_state) == (old.config, old.formation, old.domains)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_settings_are_those_of_the_release_that_was_gone_back_to(platform, number):
    new = made(back(platform, number))
    assert settings(platform.app_state) == (new.config, new.formation, new.domains)


def test_without_a_number_it_goes_to_what_served_before_and_twice_forth_again(platform):
    routed(platform, back(platform))
    assert platform.app_state.releases[6].data.change == "Rollback to v4"
    assert made(back(platform)).change == "Rollback to v5"


def test_what_is_to_be_kept_stays(platform):
    new = made(back(platform, 1, ["config", "domains"]))
    assert (new.config, new.domains) == ({"A": "x"}, ["shop.test"])
    assert (new.formation, new.processes) == ({"web": 1, "worker": 0}, {"web": "w", "worker": "k"})


def test_the_plan_names_keys_and_no_values(platform):
    plan = revert.plan(platform.state, "hello", 1, (), DOMAIN)
    assert plan.changes == {
        "image": "222222222222 → 111111111111",
        "config": "unset A",
        "scale": "worker 2 → 0",
        "domains": "add hello.example.com; remove shop.test",
    }


def test_the_order_of_domains_is_that_of_the_release(platform):
    routed(platform, platform.do(changes.domains, "hello", ["b.test"], ["shop.test"], DOMAIN))
    routed(platform, platform.do(changes.domains, "hello", ["shop.test"], [], DOMAIN))
    routed(platform, platform.do(changes.domains, "hello", [], ["b.test"], DOMAIN))
    routed(platform, platform.do(changes.domains, "hello", ["b.test"], [], DOMAIN))
    assert platform.app_state.domains == ["shop.test", "b.test"]
    assert made(back(platform, 7)).domains == ["b.test", "shop.test"]
    assert platform.app_state.domains == ["b.test", "shop.test"]
    assert {platform.state.domains[host] for host in ("b.test", "shop.test")} == {platform.app_state.id}


def test_a_domain_that_is_anothers_by_now_refuses_it_and_says_how_to_go_without(platform):
    platform.do(apps.create, OTHER, "other", DOMAIN)
    platform.do(changes.domains, "other", ["hello.example.com"], [], DOMAIN)
    before = platform.log.head()
    with pytest.raises(Refused, match=r"domain: hello\.example\.com belongs to the app other now; .*--keep domains"):
        back(platform, 1)
    assert platform.log.head() == before
    assert made(back(platform, 1, ["domains"])).domains == ["shop.test"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [(9, "hello has no release v9"), (5, "v5 is what hello has; nothing to change"), (6, "v6 failed and never served")],
)
def test_what_cannot_be_gone_back_to_is_refused(platform, number, reason):
    platform.failed(platform.released("sha256:" + "3" * 64, web="w", worker="k"))
    with pytest.raises(Refused, match=reason):
        back(platform, number)


def test_a_release_on_its_way_is_refused(platform):
    platform.do(changes.config, "hello", {"B": "y"}, [], True)
    with pytest.raises(Refused, match="v6 is being deployed"):
        back(platform, 6)


def test_a_push_that_is_released_meanwhile_comes_first_and_the_rollback_has_the_number_after(platform):
    pushes = iter([lambda: platform.released("sha256:" + "3" * 64, web="w3", worker="k")])

    def rollback(state, *args):
        decision = revert.rollback(state, *args)
        for push in pushes:
            push()
        return decision

    new = made(platform.do(rollback, "hello", 1, (), DOMAIN))
    assert (new.number, new.change) == (7, "Rollback to v1")
    assert [r.data.number for r in platform.app_state.releases.values()] == [1, 2, 3, 4, 5, 6, 7]
    assert revert.content(new) == revert.content(platform.app_state.releases[1].data)


def test_a_first_release_has_nothing_before_it():
    platform = Platform()
    platform.create()
    with pytest.raises(Refused, match="no release of hello served before"):
        back(platform)
    platform.routed(platform.released())
    with pytest.raises(Refused, match="no release of hello served before"):
        back(platform)


def test_only_what_a_release_is_of_can_be_kept(platform):
    with pytest.raises(BadInput, match="allowed are config, formation, domains"):
        back(platform, 1, ["image"])


def test_a_change_that_was_recorded_and_not_deployed_is_taken_back(platform):
    platform.do(changes.config, "hello", {"B": "y"}, [], False)
    assert made(back(platform, 5)).config == {"A": "x"}
    assert platform.app_state.config == {"A": "x"}
