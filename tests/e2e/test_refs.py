"""What may be pushed where: the deploy branch, other branches and tags, stale and simultaneous pushes, clones."""

import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from services.chain import Cause, Draft
from services.eventlog import open_log
from services.events import RefMoved, app_stream
from tests.e2e.apps import ECHO, SLOW
from tests.e2e.harness import Checkout, Instance, Poller, wait_for

Checkouts = Callable[..., Checkout]

STAFF = "web: ls people | tr '\\n' ' ' > list; echo $GIT_REV > commit; exec python3 -m http.server $PORT\n"
STALE = re.compile(r"! \[(remote )?rejected\] +main -> main \(fetch first\)")


def test_the_first_pushed_branch_is_the_one_that_deploys(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.git("branch", "-m", "trunk")
    source.push(app, "trunk")
    source.edit("app.py", "one", "two")
    source.commit()

    stored = source.push(app, "trunk:main")
    assert "remote: -----> main is stored and not deployed; trunk is the deploy branch" in stored.stderr
    assert shared.get(app).text == "one"
    assert shared.types(app)[-1] == "ref.moved"
    assert shared.types(app).count("push.received") == 1

    source.push(app, "trunk")
    assert shared.get(app).text == "two"


def test_all_branches_at_once_deploy_main_and_store_the_others(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    main = source.commit()
    source.git("checkout", "-q", "-b", "another")
    source.edit("app.py", "one", "two")
    another = source.commit()

    pushed = source.git("push", shared.url(app), "--all")

    assert "remote: -----> another is stored and not deployed; main is the deploy branch" in pushed.stderr
    assert shared.get(app).text == "one"
    assert source.remote_ref(app, "refs/heads/main") == main
    assert source.remote_ref(app, "refs/heads/another") == another


def test_tags_are_stored_and_said_not_to_deploy(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.git("tag", "v1.0")
    source.git("tag", "-a", "-m", "with a note", "v1.1")

    pushed = source.git("push", shared.url(app), "--tags")

    for tag in ("v1.0", "v1.1"):
        assert f"remote: -----> {tag} is stored and not deployed; main is the deploy branch" in pushed.stderr
        assert source.remote_ref(app, f"refs/tags/{tag}") == source.git("rev-parse", tag).stdout.strip()
    assert shared.types(app).count("push.received") == 1


def test_a_tag_alone_creates_an_app_that_deploys_nothing_yet(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.git("tag", "v1.0")

    assert "remote: -----> v1.0 is stored and not deployed" in source.push(app, "v1.0").stderr
    assert "push.received" not in shared.types(app)
    source.push(app)
    assert shared.get(app).text == "one"


def test_clone_and_fetch_get_what_was_pushed(shared: Instance, checkout: Checkouts, app: str, tmp_path: Path) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.git("tag", "v1.0")
    source.git("push", shared.url(app), "v1.0", "main:another")

    clone = Checkout.clone(app, tmp_path / "clone", shared)
    assert clone.git("log", "--format=%H %s").stdout == source.git("log", "--format=%H %s", "main").stdout
    assert clone.git("branch", "--show-current").stdout == "main\n"
    assert {"origin/another", "origin/main"} <= set(
        clone.git("branch", "-r", "--format=%(refname:short)").stdout.split()
    )
    assert (clone.path / "app.py").read_text() == ECHO["app.py"]

    source.edit("app.py", "one", "two")
    changed = source.commit()
    source.push(app)
    clone.git("fetch", "-q")
    assert clone.git("rev-parse", "origin/main").stdout.strip() == changed
    assert clone.git("rev-parse", "v1.0").stdout == source.git("rev-parse", "v1.0").stdout
    clone.git("fsck", "--strict")


def test_a_commit_whose_push_failed_is_in_no_clone(
    shared: Instance, checkout: Checkouts, app: str, tmp_path: Path
) -> None:
    source = checkout(shared, ECHO)
    good = source.commit()
    source.push(app)
    source.write("Procfile", "")
    source.commit()
    assert source.push(app, check=False).returncode == 1

    clone = Checkout.clone(app, tmp_path / "clone", shared)
    assert clone.git("rev-parse", "HEAD").stdout.strip() == good


def test_nothing_to_push_says_so_and_deploys_nothing(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    before = shared.types(app).count("release.created")

    assert "Everything up-to-date" in source.push(app).stderr
    assert shared.types(app).count("release.created") == before


def test_odd_refs_are_refused_with_one_sentence(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    before = shared.head()

    for refspec, reason in (
        ("main:refs/notes/commits", "invalid ref name"),
        ("main:refs/for/main", "invalid ref name"),
        ("HEAD:refs/heads/-h", "invalid ref name"),
    ):
        refused = source.push(app, refspec, check=False)
        assert refused.returncode == 1, refspec
        assert f"({reason})" in refused.stderr, refspec
        assert refused.stderr.count("rejected]") == 1, refspec
    assert settled(shared, before) == before
    assert shared.get(app).text == "one"


def test_branches_and_tags_but_the_deploy_branch_can_be_deleted(
    shared: Instance, checkout: Checkouts, app: str, tmp_path: Path
) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.git("tag", "v1.0")
    source.git("push", shared.url(app), "v1.0", "main:another", "main:third")
    head = source.git("rev-parse", "main").stdout.strip()

    deleted = source.git("push", shared.url(app), "--delete", "another", "v1.0")
    assert "remote: -----> another is deleted" in deleted.stderr
    assert " - [deleted]         v1.0" in deleted.stderr
    events = [event for event in shared.events(app) if event["type"] == "ref.deleted"]
    assert [(event["data"]["ref"], event["data"]["old"]) for event in events] == [
        ("refs/heads/another", head),
        ("refs/tags/v1.0", head),
    ]
    assert events[0]["actor"].startswith("tester ")
    assert events[0]["command"] == f"git-receive-pack {app}"

    both = source.git("push", shared.url(app), ":main", ":third", "main:fourth", check=False)
    assert both.returncode == 1
    sentence = f"main is the deploy branch; push another commit to it, or end the app: apps:destroy {app}"
    assert f"! [remote rejected] main ({sentence})" in both.stderr
    assert source.git("ls-remote", "--heads", shared.url(app)).stdout.split()[1::2] == [
        "refs/heads/fourth",
        "refs/heads/main",
    ]
    assert shared.get(app).text == "one"
    undone = shared.ssh("log:undo", str(events[0]["position"]), check=False)
    assert undone.stderr == f" !     undo: nothing reverses ref.deleted at position {events[0]['position']}\n"
    Checkout.clone(app, tmp_path / "clone", shared).git("fsck", "--strict")


@pytest.mark.only("embedded", "what is decided is the same in both modes")
def test_what_git_cannot_store_beside_a_branch_is_refused_naming_that(
    shared: Instance, checkout: Checkouts, app: str, tmp_path: Path
) -> None:
    source = checkout(shared, ECHO)

    pushed = source.git("push", shared.url(app), "main:main/x", "main", "main:refs/tags/main/x", check=False)
    assert pushed.returncode == 1
    reason = "refs/heads/main exists; cannot create refs/heads/main/x"
    assert f"! [remote rejected] main -> main/x ({reason})" in pushed.stderr
    assert source.remote_ref(app, "refs/tags/main/x") == source.remote_ref(app)
    source.push(app, "main:a/b/c")
    refused = source.push(app, "main:a/b", check=False)
    assert "(refs/heads/a/b/c exists; cannot create refs/heads/a/b)" in refused.stderr
    source.git("push", shared.url(app), ":a/b/c", "main:a/b")
    assert shared.get(app).text == "one"
    Checkout.clone(app, tmp_path / "clone", shared)


@pytest.mark.only("embedded", "what is decided is the same in both modes")
def test_where_an_older_version_took_both_names_clone_works_and_a_push_names_the_one_to_delete(
    shared: Instance, checkout: Checkouts, app: str, tmp_path: Path
) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    created = shared.events(app)[0]["data"]["app"]
    commit = source.git("rev-parse", "main").stdout.strip()
    moved = RefMoved(app=created, ref="refs/heads/main/x", old=None, new=commit, deploys=False)
    log, engine = open_log(shared.log_url)
    log.append(
        [Draft(app_stream(created), app, moved)], Cause("gitreceiver", "local", "local", f"git-receive-pack {app}")
    )
    engine.dispose()

    clone = Checkout.clone(app, tmp_path / "clone", shared)
    assert clone.git("branch", "-r", "--format=%(refname:short)").stdout.split() == ["origin/HEAD", "origin/main"]
    source.edit("app.py", "one", "two")
    source.commit()
    pushed = source.push(app)
    line = " !     git cannot store refs/heads/main/x beside the others; delete it: git push URL :refs/heads/main/x"
    assert [said.rstrip() for said in pushed.stderr.splitlines() if "cannot store" in said] == [f"remote: {line}"]
    assert shared.get(app).text == "two"

    source.push(app, ":refs/heads/main/x")
    assert "cannot store" not in source.push(app, "main:other").stderr
    clone.git("pull", "-q")
    assert clone.git("rev-parse", "HEAD").stdout == source.git("rev-parse", "main").stdout


def test_a_good_branch_is_taken_beside_a_refused_one(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)

    pushed = source.git("push", shared.url(app), "main", "main:refs/odd/one", check=False)

    assert pushed.returncode == 1
    assert "[remote rejected] main -> refs/odd/one (invalid ref name)" in pushed.stderr
    assert "[new branch]      main -> main" in pushed.stderr
    assert shared.get(app).text == "one"


def test_an_odd_app_name_is_refused_with_one_sentence(shared: Instance, checkout: Checkouts) -> None:
    source = checkout(shared, ECHO)
    before = shared.head()

    for name in ("Upper", "a..b", "-rf", "under_score", "a" * 64):
        refused = source.push(name, check=False)
        assert refused.returncode == 128, name
        assert " is not an app name; allowed are 1 to 63 of a-z, 0-9" in refused.stderr, name
    assert settled(shared, before) == before


def test_a_clone_of_no_app_says_that_it_does_not_exist(shared: Instance, app: str, tmp_path: Path) -> None:
    refused = Checkout(tmp_path, shared).git("clone", shared.url(app), str(tmp_path / "clone"), check=False)

    assert refused.returncode == 128
    assert f"App {app} does not exist" in refused.stderr


def test_a_stale_push_is_told_to_fetch_first(shared: Instance, checkout: Checkouts, app: str, tmp_path: Path) -> None:
    first = checkout(shared, ECHO)
    first.push(app)
    second = Checkout.clone(app, tmp_path / "second", shared)
    first.edit("app.py", "one", "two")
    first.commit()
    first.push(app)
    second.write("README", "hello\n")
    second.commit()

    stale = second.push(app, check=False)
    assert stale.returncode == 1
    assert "! [rejected]        main -> main (fetch first)" in stale.stderr
    assert shared.get(app).text == "two"

    second.git("pull", "-q", "--rebase", "origin", "main")
    second.push(app)
    assert shared.get(app).text == "two"
    assert second.remote_ref(app) == second.git("rev-parse", "HEAD").stdout.strip()


def test_a_force_push_deploys_another_history(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    source.push(app)
    source.git("checkout", "-q", "--orphan", "anew")
    source.edit("app.py", "one", "two")
    anew = source.commit()

    assert "[rejected]" in source.push(app, "anew:main", check=False).stderr
    with Poller(shared, app) as visitor:
        source.push(app, "+anew:main")

    assert not visitor.failures
    assert shared.get(app).text == "two"
    assert source.remote_ref(app) == anew


def test_five_simultaneous_pushes_are_taken_one_after_the_other_and_stale_ones_told_to_fetch(
    shared: Instance, checkout: Checkouts, app: str, tmp_path: Path
) -> None:
    checkout(shared, {**ECHO, "Procfile": STAFF, "people/nobody": ""}).push(app)
    people = [Checkout.clone(app, tmp_path / f"person{number}", shared) for number in range(5)]
    for person in people:
        person.write(f"people/{person.path.name}", "")
        person.commit(person.path.name)
    tries: list[subprocess.CompletedProcess[str]] = []

    def push(person: Checkout) -> None:
        while (tried := person.push(app, check=False)).returncode:
            tries.append(tried)
            person.git("pull", "-q", "--rebase", "origin", "main")

    pushing = [threading.Thread(target=push, args=(person,)) for person in people]
    with Poller(shared, app, "/list") as visitor:
        for thread in pushing:
            thread.start()
        for thread in pushing:
            thread.join()

    assert not visitor.failures
    assert len(tries) >= 4
    assert all(STALE.search(tried.stderr) for tried in tries), [tried.stderr for tried in tries]
    assert set(shared.get(app, "/list").text.split()) == {"nobody", *(person.path.name for person in people)}
    story = [event for event in shared.events(app) if event["type"] in ("push.received", "ref.moved")]
    assert [event["type"] for event in story] == ["push.received", "ref.moved"] * 6, "one after the other"
    assert [event["data"]["new"] for event in story[::2]] == [event["data"]["new"] for event in story[1::2]]
    moves = [event["data"] for event in story[1::2]]
    assert [move["old"] for move in moves] == [None, *(move["new"] for move in moves[:-1])]
    assert people[0].remote_ref(app) == moves[-1]["new"] == shared.get(app, "/commit").text.strip()
    assert visitor.phases() == sorted(visitor.phases(), key=len), "each release has one person more"


def test_a_push_that_waits_for_another_says_so(shared: Instance, checkout: Checkouts, app: str, tmp_path: Path) -> None:
    source = checkout(shared)
    source.push(app)
    second = Checkout.clone(app, tmp_path / "second", shared)
    second.commit("second")
    for name, text in SLOW.items():
        source.write(name, text)
    source.commit("slow")

    with shared.running(["git", "push", shared.url(app), "main"], source.path) as first:
        first.wait_for_line("Installing dependencies")
        waited = second.push(app, check=False)
        assert first.wait() == 0

    assert f"remote: -----> Waiting for the push to {app} before this one" in waited.stderr
    assert "! [remote rejected] main -> main (fetch first)" in waited.stderr


def test_what_is_being_deployed_may_be_pushed_again_and_gone_on_from(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, SLOW)
    source.commit("slow")

    with shared.running(["git", "push", shared.url(app), "main"], source.path) as first:
        first.wait_for_line("Installing dependencies")
    again = source.push(app)
    source.write("README", "more\n")
    source.commit("slow again")
    with shared.running(["git", "push", shared.url(app), "main"], source.path) as second:
        second.wait_for_line("Building")
    source.write("README", "and more\n")
    last = source.commit("last")
    source.push(app)

    assert f"remote: -----> Waiting for the push to {app} before this one" in again.stderr
    assert "remote: -----> main stands there already" in again.stderr
    assert source.remote_ref(app) == last
    moves = [event["data"] for event in shared.events(app) if event["type"] == "ref.moved"]
    assert [move["old"] for move in moves] == [None, *(move["new"] for move in moves[:-1])]
    assert len(moves) == 3


def test_of_two_first_pushes_at_once_one_creates_the_app_and_the_other_may_follow(
    shared: Instance, checkout: Checkouts, app: str, tmp_path: Path
) -> None:
    one, other = checkout(shared), checkout(shared)
    other.git("commit", "-q", "--amend", "-m", "other")
    pushes = [shared.running(["git", "push", shared.url(app), "+main"], person.path) for person in (one, other)]
    with pushes[0] as first, pushes[1] as second:
        assert 0 in (first.wait(), second.wait())

    for person in (one, other):
        person.push(app, "+main")
    assert Checkout.clone(app, tmp_path / "clone", shared).commit("more")


def test_a_client_that_hangs_up_in_mid_build_does_not_stop_its_push(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(shared, SLOW)
    commit = source.commit()

    with shared.running(["git", "push", shared.url(app), "main"], source.path) as push:
        push.wait_for_line("Installing dependencies")
    assert "build.succeeded" not in shared.types(app)

    wait_for(lambda: source.remote_ref(app) == commit, "the ref's move")
    assert shared.get(app).status == 200
    assert shared.types(app).count("build.started") == 1


def settled(instance: Instance, before: int) -> int:
    """The head of the log but for refusals, and for what earlier tests' apps still had to do."""
    late = {"release.retired", "command.refused"}
    return max(e["position"] for e in instance.events() if e["position"] <= before or e["type"] not in late)
