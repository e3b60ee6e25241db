"""What the door knows and decides, on a log in memory."""

import pytest

from gitreceiver import keys, stories
from gitreceiver.moves import deploying, occupied, side_by_side, to_delete, undeletable, unstorable
from gitreceiver.state import State
from services.blobs import Outputs
from services.chain import Cause
from services.decide import commit
from services.errors import Refused
from services.events import AppDestroyed, BuildFailed, DeployFailed, RefDeleted, RefMoved, RoutePublished
from tests.unit.story import APP, COMMIT, WHO, Story

MAIN, FEATURE, MASTER, TAG = "refs/heads/main", "refs/heads/feature", "refs/heads/master", "refs/tags/v1"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8Ht8Z3j6yDWPBHQtOp/R9rjWvfMYo3MSA/K6q8D86r"


class Door(Story):
    """A story with the door's state."""

    def __init__(self):
        self.state, self.listener = State(), stories.Stories()
        super().__init__(self.state, self.listener)
        self.app()

    @property
    def known(self):
        return self.state.apps[APP]

    def move(self, ref=MAIN, new=COMMIT, push=None, deploys=True):
        cause = Cause.after("gitreceiver", push) if push else WHO
        return self.record(RefMoved(app=APP, ref=ref, old=None, new=new, deploys=deploys), cause)


@pytest.fixture
def door():
    return Door()


def test_a_ref_stands_where_the_log_moved_it(door):
    door.move()
    assert door.known.refs == {MAIN: COMMIT}


def test_a_push_is_under_way_until_its_ref_moved(door):
    push = door.push()
    assert list(door.known.pending) == [push.id]
    door.move(push=push)
    assert not door.known.pending


def test_a_push_is_over_when_its_build_failed(door):
    door.after(door.push(), BuildFailed(app=APP, attempt=1, reason="no", output=None))
    assert not door.known.pending


def test_the_first_branch_that_was_deployed_is_the_deploy_branch(door):
    assert deploying(door.known, [FEATURE]) == FEATURE
    door.move(FEATURE)
    door.move(MAIN)
    assert deploying(door.known, [MAIN, FEATURE]) == FEATURE
    assert deploying(door.known, [MAIN]) is None


@pytest.mark.parametrize(
    ("refs", "deploys"),
    [([FEATURE, MAIN], MAIN), ([FEATURE, MASTER], MASTER), ([TAG, FEATURE], FEATURE), ([TAG], None)],
)
def test_of_several_first_branches_main_or_master_is_preferred(refs, deploys):
    assert deploying(None, refs) == deploys


def test_a_deleted_ref_stands_nowhere(door):
    door.move(TAG, deploys=False)
    door.move(FEATURE, deploys=False)
    door.record(RefDeleted(app=APP, ref=TAG, old=COMMIT))
    assert door.known.refs == {FEATURE: COMMIT}


def test_the_deploy_branch_is_not_to_be_deleted(door):
    door.move()
    assert undeletable(door.known, MAIN) == (
        "main is the deploy branch; push another commit to it, or end the app: apps:destroy hello"
    )
    assert undeletable(door.known, FEATURE) is None


@pytest.mark.parametrize(
    ("ref", "existing"),
    [
        (f"{MAIN}/x", MAIN),
        (f"{MAIN}/x/y", MAIN),
        ("refs/heads/a", "refs/heads/a/b/c"),
        ("refs/heads/a/b", "refs/heads/a/b/c"),
    ],
)
def test_a_ref_that_git_cannot_store_beside_another_is_refused_naming_that(door, ref, existing):
    door.move()
    door.move("refs/heads/a/b/c", deploys=False)
    assert unstorable(occupied(door.known), ref) == f"{existing} exists; cannot create {ref}"


def test_a_ref_of_a_push_under_way_is_taken(door):
    door.push()
    assert unstorable(occupied(door.known), f"{MAIN}/x") == f"{MAIN} exists; cannot create {MAIN}/x"


@pytest.mark.parametrize("ref", [MAIN, "refs/heads/mainx", "refs/tags/main/x", "refs/heads/mai"])
def test_a_ref_that_git_can_store_beside_the_others_is_not_refused(door, ref):
    door.move()
    assert unstorable(occupied(door.known), ref) is None


def test_where_refs_stand_that_git_cannot_store_the_deploy_branch_is_shown_and_one_named_to_delete(door):
    for ref in ("refs/heads/a/b", "refs/heads/a/b/c", "refs/heads/main/x"):
        door.move(ref, deploys=False)
    assert to_delete(door.known) == (
        "git cannot store refs/heads/a/b/c beside the others; delete it: git push URL :refs/heads/a/b/c"
    )
    door.move("refs/heads/a")
    door.move()
    assert list(side_by_side(door.known.refs, door.known.deploy_branch)) == ["refs/heads/a", MAIN]
    assert to_delete(door.known).startswith("git cannot store refs/heads/a/b and 2 more beside the others; delete it")
    for ref in ("refs/heads/a/b", "refs/heads/a/b/c", "refs/heads/main/x"):
        door.record(RefDeleted(app=APP, ref=ref, old=COMMIT))
    assert to_delete(door.known) is None


def test_a_key_enters_under_its_name_until_it_is_removed(door):
    commit(door.log, door.projections, lambda: keys.add(door.state, "me", KEY), WHO)
    key = keys.listed(door.state)[0]
    assert keys.authorized(door.state, key["fingerprint"], KEY) == "me"
    commit(door.log, door.projections, lambda: keys.remove(door.state, "me", None), WHO)
    assert keys.authorized(door.state, key["fingerprint"], KEY) is None


def test_a_key_with_a_known_fingerprint_and_other_bytes_does_not_enter(door):
    commit(door.log, door.projections, lambda: keys.add(door.state, "me", KEY), WHO)
    fingerprint = keys.listed(door.state)[0]["fingerprint"]
    assert keys.authorized(door.state, fingerprint, KEY.replace("q8D86r", "q8D86s")) is None


def test_a_key_or_name_that_is_there_is_refused(door):
    commit(door.log, door.projections, lambda: keys.add(door.state, "me", KEY), WHO)
    with pytest.raises(Refused, match="stored already, as me"):
        keys.add(door.state, "you", KEY)


def test_a_key_that_was_added_is_taken_out_by_an_undo_and_let_in_by_another(door):
    def undo(position):
        reverse = keys.undo(door.log, position)
        return commit(door.log, door.projections, lambda: reverse(door.state), WHO)[0]

    added = commit(door.log, door.projections, lambda: keys.add(door.state, "me", KEY), WHO)[0]
    removed = undo(added.position)
    assert door.state.keys == {}
    with pytest.raises(Refused, match="me was removed since"):
        undo(added.position)
    undo(removed.position)
    assert keys.authorized(door.state, added.data.fingerprint, KEY) == "me"
    with pytest.raises(Refused, match="is stored already, as me"):
        undo(removed.position)
    undo(added.position)
    assert door.state.keys == {}
    with pytest.raises(Refused, match="no key was added or removed at position 1"):
        undo(1)


def test_removing_a_key_that_is_not_there_says_so(door):
    with pytest.raises(Refused, match="there is no key"):
        keys.remove(door.state, "nobody", None)


def told(door, tmp_path, push, ending):
    """What a follower of the push is told once it is over."""
    outputs = Outputs(tmp_path, 1000)
    outputs.open(push.id).line("building")
    return list(stories.follow(push.id, door.events, outputs, door.projections, ending))


def url(host):
    return f"http://{host}"


def test_a_push_is_followed_until_its_ref_moved(door, tmp_path):
    push = door.push()
    with door.listener.following(push.id) as door.events:
        route = RoutePublished(
            app=APP, release=1, attempt=1, hosts=["a.test"], upstreams=["10.0.0.1:5000"], replaces=None, push=push.id
        )
        door.after(push, route)
        door.move(push=push)
        ending = ("=====> Application deployed:\n       http://a.test\n", 0)
        assert told(door, tmp_path, push, stories.push_ending(url)) == [b"building\n", ending]


@pytest.mark.parametrize(
    ("hosts", "upstreams", "last"),
    [
        (["a.test"], ["10.0.0.1:5000"], "       http://a.test"),
        ([], ["10.0.0.1:5000"], "=====> Application deployed; it has no domain"),
        (["a.test"], [], "=====> Application deployed; web is scaled to 0, its hosts answer 502"),
        ([], [], "=====> Application deployed; it has no web process"),
    ],
)
def test_a_success_ends_with_where_the_app_is_found_if_it_is(hosts, upstreams, last):
    route = RoutePublished(app=APP, release=1, attempt=1, hosts=hosts, upstreams=upstreams, replaces=None, push="")
    assert stories.deployed(route, url).splitlines()[-1] == last


@pytest.mark.parametrize(
    "failure",
    [
        BuildFailed(app=APP, attempt=1, reason="because", output=None),
        DeployFailed(app=APP, release=1, attempt=1, reason="because", output=None),
    ],
)
def test_a_push_that_failed_ends_with_the_reason(door, tmp_path, failure):
    push = door.push()
    with door.listener.following(push.id) as door.events:
        door.after(push, failure)
        *_, (text, code) = told(door, tmp_path, push, stories.push_ending(url))
    assert "because" in text
    assert code == 1


def test_a_push_whose_app_is_destroyed_comes_to_an_end(door, tmp_path):
    destroys = Cause("test", "tester", "local", "apps:destroy hello", correlationid="another story")
    push = door.push()
    with door.listener.following(push.id) as door.events, door.listener.following(destroys.correlationid) as own:
        door.built(push)
        door.record(AppDestroyed(app=APP, name="hello"), destroys)
        assert [event.type for event in door.events] == ["build.succeeded", "app.destroyed"]
        assert told(door, tmp_path, push, stories.push_ending(url))[-1] == (" !     hello was destroyed meanwhile\n", 1)
    assert [event.type for event in own] == ["app.destroyed"]
