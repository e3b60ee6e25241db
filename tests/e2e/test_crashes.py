"""The platform, nginx or a container ends at a bad moment: what was pushed is deployed or refused, never half."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, Poller, Running, docker, wait_for
from tests.e2e.world import StoredLog, build_containers, in_docker, serving

Checkouts = Callable[..., Checkout]

SITE = "site"
GATED = {
    **ECHO,
    "app.py": "import os, time\nwhile not os.path.exists('/tmp/open'): time.sleep(0.02)\n" + ECHO["app.py"],
}
"""Listens once /tmp/open is there."""
STUCK = {
    **{name: text for name, text in ECHO.items() if name != ".null"},
    "requirements.txt": "./stuck\n",
    "stuck/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "stuck/backend.py": '''
import pathlib, time, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    """A wheel of nothing; the first attempt never ends."""
    begun = pathlib.Path("/cache/begun")
    if not begun.exists():
        begun.touch()
        time.sleep(600)
    name = "stuck-1-py3-none-any.whl"
    about = {
        "METADATA": "Metadata-Version: 2.1\\nName: stuck\\nVersion: 1\\n",
        "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for file, text in about.items():
            wheel.writestr(f"stuck-1.dist-info/{file}", text)
    return name
''',
}
"""The install of its requirements does not end by itself the first time."""


@pytest.fixture(scope="module")
def site(killable: Instance, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout of an app that serves on the instance that may be killed."""
    source = Checkout.of(ECHO, tmp_path_factory.mktemp("site") / "checkout", killable)
    source.push(SITE)
    return source


def begin(source: Checkout, app: str) -> Running:
    """Begin a push."""
    argv = ["git", "push", source.instance.url(app), "main"]
    return Running(argv, source.instance.environment, source.path)


def next_version(source: Checkout, number: int) -> tuple[str, str]:
    """Commit a version of its own; returns what it answers and the commit."""
    text = source.path / "app.py"
    lines = [f'VERSION = "{number}"' if line.startswith("VERSION") else line for line in text.read_text().splitlines()]
    text.write_text("\n".join(lines) + "\n")
    return str(number), source.commit()


def has_begun(instance: Instance) -> bool:
    """Whether the build of STUCK is where it does not go on."""
    found = build_containers(instance)
    return (
        bool(found)
        and not subprocess.run(
            ["docker", "exec", found[0], "test", "-e", "/cache/begun"], capture_output=True
        ).returncode
    )


@pytest.mark.parametrize("moment", ["push.received", "deploy.succeeded", "route.published", "ref.moved"])
def test_a_kill_in_the_middle_of_a_push_ends_with_that_push_deployed(
    mortal: Instance, site: Checkout, moment: str
) -> None:
    log = StoredLog(mortal)
    before = log.head()
    version, commit = next_version(site, before)
    with Poller(mortal, SITE) as visitor:
        push = begin(site, SITE)
        log.wait_for(moment, before)
        mortal.kill()
        push.wait()
        mortal.up()
        story = log.wait_for_end(before)
        container = serving(mortal, SITE)

    assert not set(story) & {"build.failed", "deploy.failed"}
    assert visitor.failures == []
    assert mortal.get(SITE).text == version
    assert site.remote_ref(SITE) == commit
    assert container["Config"]["Labels"]["pushlog.release"] == str(mortal.release(SITE)["number"])
    assert build_containers(mortal) == []
    log.check()


def test_a_kill_during_a_build_begins_it_anew_and_leaves_nothing_of_the_old_attempt(
    mortal: Instance, checkout: Checkouts, app: str
) -> None:
    log, source = StoredLog(mortal), checkout(mortal, STUCK)
    before = log.head()
    push = begin(source, app)
    log.wait_for("build.started", before)
    wait_for(lambda: has_begun(mortal), "the build")
    (left,) = build_containers(mortal)
    mortal.kill()
    assert push.wait() != 0
    assert build_containers(mortal) == [left]

    mortal.up()
    story = log.wait_for_end(before)

    assert [kind for kind in story if kind.startswith("build")] == ["build.started", "build.started", "build.succeeded"]
    assert mortal.get(app).text == "one"
    assert source.remote_ref(app) == source.git("rev-parse", "HEAD").stdout.strip()
    assert build_containers(mortal) == []
    log.check()
    version, _ = next_version(source, 2)
    source.push(app)
    assert mortal.get(app).text == version


def test_a_kill_during_a_deploy_starts_the_candidate_anew_while_the_old_release_serves(
    mortal: Instance, checkout: Checkouts, app: str
) -> None:
    log, source = StoredLog(mortal), checkout(mortal, ECHO)
    source.push(app)
    before = log.head()
    source.write("app.py", GATED["app.py"].replace('"one"', '"two"'))
    commit = source.commit()
    with Poller(mortal, app) as visitor:
        push = begin(source, app)
        log.wait_for("deploy.started", before)
        wait_for(lambda: len(mortal.containers_of(app)) == 2, "the candidate")
        mortal.kill()
        assert push.wait() != 0
        assert mortal.get(app).text == "one"

        mortal.up()
        started = [row for row in log.rows(before) if row.type == "deploy.started"]
        assert len(started) == 1 or started[-1].data["attempt"] == 2
        wait_for(lambda: open_gate(mortal, app, attempt=2), "the candidate of the second attempt")
        story = log.wait_for_end(before)
        container = serving(mortal, app)

    assert story.count("deploy.started") == 2
    assert story.count("deploy.succeeded") == 1
    assert container["Config"]["Labels"]["pushlog.attempt"] == "2"
    assert visitor.failures == []
    assert {answer.text for answer in visitor.answers} == {"one", "two"}
    assert source.remote_ref(app) == commit


def open_gate(instance: Instance, app: str, attempt: int) -> bool:
    """Let the candidate of an attempt listen, if it runs."""
    wanted = [f"label=pushlog.name={app}", f"label=pushlog.attempt={attempt}", "status=running"]
    found = docker("ps", "-q", *(word for want in wanted for word in ("--filter", want))).split()
    return (
        bool(found)
        and not subprocess.run(["docker", "exec", found[0], "touch", "/tmp/open"], capture_output=True).returncode
    )


def test_at_start_strays_are_removed_and_strangers_are_not(mortal: Instance, site: Checkout) -> None:
    container, stack = serving(mortal, SITE), "pushlog/stack:bookworm"
    copied = container["Config"]["Labels"] | {"pushlog.attempt": "7"}
    mortal.kill()
    stranger = run_container(stack)
    try:
        strays = [
            run_container(stack, {"pushlog.instance": mortal.name, "pushlog.made-by": "somebody"}),
            run_container(stack, copied),
            run_container(stack, copied | {"pushlog.number": "many"}),
        ]
        mortal.up()
        wait_for(lambda: not in_docker(mortal.name)["containers"] & set(strays), "the strays' end")
        assert serving(mortal, SITE)["Id"] == container["Id"]
        assert mortal.get(SITE).status == 200
        assert docker("inspect", "-f", "{{.State.Running}}", stranger).strip() == "true"
    finally:
        docker("rm", "-f", stranger)


def run_container(image: str, labels: dict[str, str] | None = None) -> str:
    """Run a container that does nothing, with these labels; returns its id."""
    words = [word for key, value in (labels or {}).items() for word in ("--label", f"{key}={value}")]
    return docker("run", "-d", "--network", "none", *words, image, "sleep", "600").strip()


def test_what_happened_to_nginx_while_the_platform_was_down_is_mended_at_start(
    mortal: Instance, site: Checkout
) -> None:
    nginx = mortal.home / "nginx"
    master = int((nginx / "nginx.pid").read_text())
    mortal.kill()
    conf = next((nginx / "current" / "apps").glob(f"{SITE}.conf"))
    conf.write_text(conf.read_text().replace("location / {", "return 418;\nlocation / {"))
    os.kill(master, signal.SIGHUP)
    wait_for(lambda: mortal.get(SITE).status == 418, "the changed configuration")
    mortal.up()
    wait_for(lambda: mortal.get(SITE).status == 200, "the mended configuration")


def test_nginx_killed_by_hand_comes_back_even_without_its_configuration(mortal: Instance, site: Checkout) -> None:
    pid_file = mortal.home / "nginx" / "nginx.pid"
    (mortal.home / "nginx" / "current").unlink()
    master = int(pid_file.read_text())
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    for pid in [master, *map(int, children)]:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid_file.exists() and pid_file.read_text() not in ("", f"{master}\n"), "another nginx", timeout=20)
    wait_for(lambda: answers(mortal, SITE), "nginx", timeout=20)


def answers(instance: Instance, app: str) -> bool:
    """Whether the app answers through nginx."""
    try:
        return instance.get(app).status == 200
    except OSError:
        return False
