"""The host is lost before any call of the log, Docker, nginx or the blobs: another one goes on with the log alone."""

import pytest

import configsvc.answers
from services.memorylog import MemoryLog
from tests.contract.crashworld import APP, CAUSE, ELSEWHERE, SUBNET, Fuse, Process, World, crash


@pytest.mark.parametrize("subnet", [SUBNET, ELSEWHERE], ids=["the same network", "another network"])
@pytest.mark.parametrize("process", ["web", "worker"])
@pytest.mark.parametrize("before", [0, 1], ids=["a first release", "a second release"])
def test_what_was_pushed_serves_on_another_host_whatever_became_of_the_first(
    tmp_path, key_database, before, process, subnet
):
    at, died = 0, True
    while died:
        at += 1
        home = tmp_path / str(at)
        home.mkdir()
        world = World(home, MemoryLog(), key_database)
        first = Process(world, Fuse(0))
        first.create()
        configsvc.answers.scale(first.configsvc, "hello", {process: 1}, True, dict(CAUSE, correlationid="scale"))
        if before:
            first.push(1, f"{process}: serve\n")
            first.run()
        died = crash(world, at, f"{process}: serve\n")
        world.move(subnet)
        Process(world, Fuse(0)).run()
        serves(world, at, before + 1)
        world.close()
    assert at > 10


def serves(world, at, number):
    """Check that the release `number` serves, in the network that is there, and that the log says so."""
    state = Process(world, Fuse(0))
    state.platform.projections.catch_up()
    app = state.configsvc.state.apps[APP]
    statuses = [release.status for release in app.releases.values()]
    assert statuses[-1] == "current", f"{statuses}, lost at call {at}: {[e.type for e in world.recorded()]}"
    assert app.current.data.number == number
    (box,) = world.containers.boxes.values()
    assert box.listener
    assert box.spec.address.startswith(world.docker.api.subnet.removesuffix("0/24"))
    if "web" in app.current.data.formation:
        assert world.nginx.routes["hello"].upstreams == (f"{box.spec.address}:5000",)
