"""The Docker Engine is restarted, killed or hangs: apps are back soon, each as itself, and nobody waits for ever."""

import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO, SLOW
from tests.e2e.harness import Checkout, Instance, Running, docker, wait_for
from tests.e2e.world import StoredLog, build_containers
from tests.faults.docker_engine import DockerEngine
from tests.faults.instances import started
from tests.faults.matrix import cell

pytestmark = pytest.mark.timeout(600)  # a busy machine's

Checkouts = Callable[..., Checkout]

APPS = [f"app-{number}" for number in range(1, 11)]
BACK = 60.0
ANSWER = 10.0
GATED = {
    **ECHO,
    "app.py": "import os, time\nwhile not os.path.exists('/tmp/open'): time.sleep(0.02)\n" + ECHO["app.py"],
}
"""Listens once /tmp/open is there."""


@pytest.fixture(scope="module")
def instance(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance on the tests' own Docker Engine; what the harness asks Docker, it asks that one as well."""
    home = tmp_path_factory.mktemp("docker-faults") / "home"
    settings = {"SUBNET": docker_engine.subnets[0], "CHECK_TIMEOUT": "60"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", docker_engine.host)
        with started(Instance(home, f"faults-{os.getpid()}", settings)) as instance:
            yield instance


@pytest.fixture(scope="module")
def ten(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Ten apps, each of which answers with its name."""
    source = Checkout.of(ECHO, tmp_path_factory.mktemp("ten") / "checkout", instance)
    text = (source.path / "app.py").read_text()
    for app in APPS:
        source.write("app.py", text.replace('"one"', f'"{app}"'))
        source.commit(app)
        source.git("branch", app)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda app: source.push(app, f"{app}:main"), APPS))
    return APPS


class Roll:
    """Calls each of several apps again and again, and counts who answers in whose name. A context manager."""

    def __init__(self, instance: Instance, apps: list[str]) -> None:
        self._instance, self._apps = instance, apps
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._call, daemon=True)
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []

    def _call(self) -> None:
        while not self._over.wait(0.01):
            for app in self._apps:
                said = asked(self._instance, app)
                self.answers[said] += 1
                if said and said != app:
                    self.wrong.append(f"{said} answered for {app}")

    def __enter__(self) -> "Roll":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def asked(instance: Instance, app: str) -> str:
    """What an app answers through nginx; empty while it does not."""
    try:
        answer = instance.get(app)
    except OSError:
        return ""
    return answer.text if answer.status == 200 else ""


@pytest.mark.parametrize("end", [DockerEngine.stop, DockerEngine.kill], ids=["stopped", "killed"])
def test_ten_apps_are_back_soon_after_docker_and_none_answers_for_another(
    docker_engine: DockerEngine, instance: Instance, ten: list[str], end: Callable[[DockerEngine], None]
) -> None:
    log = StoredLog(instance)
    before = log.head()
    with cell(f"Docker {end.__name__}, started", "ten apps serve") as seen, Roll(instance, ten) as roll:
        wait_for(lambda: roll.answers.total() > 2 * len(ten), "a first round")
        end(docker_engine)
        wait_for(lambda: not asked(instance, ten[-1]) or end is DockerEngine.kill, "an app's end")
        docker_engine.start()
        start = time.monotonic()
        wait_for(lambda: all(runs_once(instance, app) for app in ten), "all apps' containers", BACK)
        wait_for(lambda: all(asked(instance, app) == app for app in ten), "all apps", BACK)
        back = time.monotonic() - start
        assert roll.wrong == []
        seen.seen = f"all back after {back:.1f} s; 0 of {roll.answers.total()} answers wrong"
    assert back <= BACK
    assert log.head() == before


def runs_once(instance: Instance, app: str) -> bool:
    """Whether an app has its containers, each once: one web and one worker."""
    running = [container for container in instance.containers_of(app) if container["State"]["Running"]]
    return sorted(container["Name"] for container in running) == [f"/{instance.name}.{app}.web.1"]


def test_while_docker_hangs_commands_answer_and_apps_serve(
    docker_engine: DockerEngine, instance: Instance, ten: list[str]
) -> None:
    with cell("Docker hangs", "commands") as seen, Roll(instance, ten) as roll:
        docker_engine.pause()
        try:
            needing = [("ps", ten[0]), ("logs", ten[1])]
            others = [("apps:list",), ("config", ten[2]), ("domains", ten[3]), ("events", ten[4])]
            with ThreadPoolExecutor(6) as pool:
                said = list(pool.map(lambda words: timed(instance, *words), needing * 2 + others * 3))
            status = instance.pushlog("status", check=False)
        finally:
            docker_engine.resume()
        assert max(seconds for seconds, _ in said) < ANSWER
        for _, done in said[: 2 * len(needing)]:
            assert done.returncode != 0
            assert done.stderr == " !     Docker does not answer in time\n"
        for _, done in said[2 * len(needing) :]:
            assert (done.returncode, done.stderr) == (0, "")
        assert status.returncode == 1
        assert re.search(r"docker: +! Docker does not answer in time", status.stdout)
        assert roll.wrong == []
        assert roll.answers[""] == 0
        slowest = max(seconds for seconds, _ in said)
        seen.seen = f"slowest of {len(said)} commands {slowest:.1f} s; {roll.answers.total()} requests served, 0 failed"
    wait_for(lambda: instance.ssh("ps", ten[0], check=False).returncode == 0, "a right answer")


def timed(instance: Instance, *words: str) -> tuple[float, "subprocess.CompletedProcess[str]"]:
    """How long a command over SSH took, and what it said."""
    start = time.monotonic()
    done = instance.ssh(*words, check=False)
    return time.monotonic() - start, done


def test_a_push_while_docker_hangs_says_that_it_waits_and_goes_on_by_itself(
    docker_engine: DockerEngine, instance: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(instance, ECHO)
    with cell("Docker hangs", "before a build") as seen:
        docker_engine.pause()
        try:
            push = pushing(source, app)
            push.wait_for_line("Docker does not answer in time; this waits and is tried again")
        finally:
            docker_engine.resume()
        assert push.wait() == 0, push.lines
        assert instance.get(app).text == "one"
        seen.seen = "the pusher was told; deployed after it"
    assert source.remote_ref(app) == source.git("rev-parse", "HEAD").stdout.strip()


def pushing(source: Checkout, app: str) -> Running:
    """A push under way."""
    return Running(["git", "push", source.instance.url(app), "main"], source.instance.environment, source.path)


def test_a_build_goes_on_where_it_was_when_docker_hung(
    docker_engine: DockerEngine, instance: Instance, checkout: Checkouts, app: str
) -> None:
    source, log = checkout(instance, SLOW), StoredLog(instance)
    before = log.head()
    with cell("Docker hangs", "in a build") as seen:
        push = pushing(source, app)
        push.wait_for_line("Installing dependencies")
        wait_for(lambda: build_containers(instance), "the build's container")
        docker_engine.pause()
        try:
            slowest = max(timed(instance, "apps:list")[0] for _ in range(3))
        finally:
            docker_engine.resume()
        assert push.wait() == 0, push.lines
        assert slowest < ANSWER
        story = log.wait_for_end(before)
        assert "build.succeeded" in story
        seen.seen = f"deployed after {story.count('build.started')} build"
    assert build_containers(instance) == []


@pytest.mark.parametrize("fault", ["hangs", "is killed"])
def test_a_deploy_is_tried_again_when_docker_is_back_while_the_old_release_serves(
    docker_engine: DockerEngine, instance: Instance, checkout: Checkouts, app: str, fault: str
) -> None:
    source, log = checkout(instance, ECHO), StoredLog(instance)
    source.push(app)
    before = log.head()
    source.write("app.py", GATED["app.py"].replace('"one"', '"two"'))
    commit = source.commit()
    with cell(f"Docker {fault}", "in a deploy") as seen:
        push = pushing(source, app)
        log.wait_for("deploy.started", before)
        wait_for(lambda: len(instance.containers_of(app)) == 2, "the candidate")
        if fault == "hangs":
            docker_engine.pause()
            try:
                push.wait_for_line("this waits and is tried again")
                assert instance.get(app).text == "one"
            finally:
                docker_engine.resume()
        else:
            docker_engine.kill()
            push.wait_for_line("this waits and is tried again")
            docker_engine.start()
        wait_for(lambda: open_gates(app), "a candidate", 60)
        assert push.wait() == 0, push.lines
        story = log.wait_for_end(before)
        assert story.count("deploy.succeeded") == 1
        assert instance.get(app).text == "two"
        wait_for(lambda: runs_once(instance, app), "one container")
        seen.seen = f"deployed in attempt {story.count('deploy.started')}"
    assert source.remote_ref(app) == commit
    log.check()


def open_gates(app: str) -> bool:
    """Let every candidate of an app that runs listen; whether one of a second attempt did."""
    found = docker("ps", "-q", "--filter", f"label=pushlog.name={app}", "--filter", "label=pushlog.attempt=2").split()
    return any(
        not subprocess.run(["docker", "exec", id_, "touch", "/tmp/open"], capture_output=True).returncode
        for id_ in found
    )


def test_nothing_is_left_open_or_locked_by_what_docker_did_not_answer(instance: Instance) -> None:
    threads = Path(f"/proc/{instance.pid}/task")
    assert len(list(threads.iterdir())) < 64
    assert timed(instance, "apps:list")[0] < ANSWER
