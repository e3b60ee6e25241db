"""SIGKILL of each service before and after each append and each effect of each hop, on RabbitMQ and PostgreSQL.

Every push comes to its one end, nothing that was acknowledged is lost, nothing is left behind, and visitors of the app
see the old release or the new one all the time.
"""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.cluster import Cluster, Service
from tests.e2e.harness import Checkout, Poller, wait_for
from tests.e2e.world import StoredLog, build_containers, serving
from tests.faults.matrix import cell

APPENDS = {
    "gitreceiver": ["push.received", "ref.moved"],
    "builder": ["build.started", "build.succeeded", "build.failed"],
    "configsvc": ["release.created"],
    "deployer": ["deploy.started", "deploy.succeeded", "release.retired", "deploy.failed"],
    "router": ["route.published"],
}
EFFECTS = {
    "gitreceiver": ["services.sources:Sources.put", "gitreceiver.git.quarantine:Quarantine.keep"],
    "builder": [
        "builder.containers:put",
        "builder.containers:commit",
        "builder.containers:remove",
        "services.sources:Sources.remove",
    ],
    "configsvc": [],
    "deployer": [f"deployer.containers:Containers.{name}" for name in ("create", "start", "serve", "stop", "remove")],
    "router": [
        "router.trees:Trees.write",
        "router.trees:Trees.point",
        "router.master:Master.test",
        "router.master:Master.reload",
    ],
}
POINTS = [
    (service, when, what)
    for service in APPENDS
    for what in [*(f"append:{type_}" for type_ in APPENDS[service]), *EFFECTS[service]]
    for when in ("before", "after")
]
BAD = {"build.failed": ("Procfile", "web\n"), "deploy.failed": ("app.py", "raise SystemExit('no')\n")}
"""What is pushed so that an event of this type comes to be."""
TERMINAL = 60.0
"""Seconds after the restart in which a push must have come to its end."""


pytestmark = pytest.mark.timeout(600)  # of a busy machine


class Victim(Service):
    """A process of a service that kills itself at a point, once it is armed."""

    def __init__(self, cluster: Cluster, name: str, when: str, what: str, armed: Path) -> None:
        self.program = ("tests.faults.victim", name, when, what, str(armed))
        super().__init__(cluster, name)


def push_ended(log: StoredLog, head: int) -> list[str]:
    """The types of the story of the push after `head`, once it has ended; none if nothing of it was recorded."""
    if all(row.type != "push.received" for row in log.rows(head)):
        return []
    return log.wait_for_end(head)


@pytest.mark.parametrize(("service", "when", "what"), POINTS, ids=lambda value: value.rpartition(":")[2])
def test_a_push_ends_once_whoever_dies_where(
    cluster: Cluster, site: Checkout, tmp_path: Path, service: str, when: str, what: str
) -> None:
    log, old = StoredLog(cluster), cluster.get("site").text
    with cell(f"SIGKILL of {service}", f"{when} {what.rpartition('.containers:')[2] or what}") as seen:
        cluster.end(signal.SIGTERM, [service])
        victim = Victim(cluster, service, when, what, tmp_path / "armed")
        victim.wait_until_ready()
        wait_for(lambda: not build_containers(cluster) and serving(cluster, "site"), "the end of what was before")
        file, text = BAD.get(what.removeprefix("append:"), ("app.py", ""))
        new = f"text {os.urandom(4).hex()}"
        site.write(file, text or ECHO["app.py"].replace('"one"', f'"{new}"'))
        site.commit(new)
        head = log.head()
        with (
            Poller(cluster, "site") as visitor,
            cluster.running(["git", "push", cluster.url("site"), "main"], site.path) as push,
        ):
            (tmp_path / "armed").touch()
            wait_for(lambda: victim.ended, f"the end of the victim; git said {push.lines}", TERMINAL)
            assert victim.wait() == -signal.SIGKILL, victim.words[-2000:]
            restarted = time.monotonic()
            cluster.up()
            if service != "gitreceiver":
                push.wait()
            else:
                wait_for(lambda: not log_pending(log, head), "the push that lost its client", TERMINAL)
            story = push_ended(log, head)
            seconds = time.monotonic() - restarted
            container = serving(cluster, "site")
        assert seconds < TERMINAL
        served = new if "ref.moved" in story else old
        assert (cluster.get("site").text, visitor.failures) == (served, [])
        assert {answer.text for answer in visitor.answers} <= {old, new}
        assert container["State"]["Running"]
        wait_for(lambda: not build_containers(cluster), "the end of what the builder left")
        if text:
            site.git("reset", "-q", "--hard", "HEAD~1")
        elif "ref.moved" not in story:
            site.push("site")
        seen.seen = (
            f"{story[-1] if story else 'nothing of it'} after {seconds:.1f} s, {len(visitor.answers)} visits well"
        )


def log_pending(log: StoredLog, head: int) -> bool:
    """Whether a push after `head` was recorded and has not come to its end."""
    types = {row.type for row in log.rows(head)}
    return "push.received" in types and not types & {"ref.moved", "build.failed", "deploy.failed"}
