"""A user's small pushes and fetches that take long to work on: they end, and nobody else waits for them."""

from tests.attacks.means import git
from tests.attacks.neighbour import Neighbour, unharmed

TOO_MANY = b"tree: it has more than 200000 files and folders; use fewer"
MAIN = "refs/heads/main"


def test_what_takes_long_to_work_on_delays_nobody_else(neighbour: Neighbour, user: Neighbour):
    app = user.app
    commits, pack = git.long_history()
    user.push()
    with unharmed(neighbour):
        for commit, odd in (git.same_folder_many_times(), git.million_files()):
            assert TOO_MANY in git.push(user, app, [(git.ZERO, commit, "refs/heads/odd")], odd)
        tags = [(git.ZERO, commit, f"refs/tags/t{n}") for n, commit in enumerate(commits[: git.MANY])]
        assert git.push(user, app, tags, pack).count(b"ok refs/tags/") == git.MANY
        fetched = git.fetch(user, app, commits[0], 20_000)
        assert (fetched.returncode, b"PACK" in fetched.stdout) == (0, True)
        refused = git.fetch(user, app, commits[0], 110_000)
        assert refused.stderr.startswith(b" !     git: more than 4 MiB of wants and haves")
        gone = [(new, git.ZERO, ref) for _, new, ref in tags]
        assert git.push(user, app, gone, b"").count(b"ok refs/tags/") == git.MANY
    with user.place.inside():
        assert user.checkout.git("ls-remote", user.instance.url(app)).stdout.count("\n") == 2
