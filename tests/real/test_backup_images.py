"""Images that go through a backup, with the real Docker."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from builder import buildstep, containers
from builder.job import BuildRequest
from gitreceiver.backup import images
from gitreceiver.backup.wanted import App, Wanted
from services import engine
from services.errors import PushlogError, Refused
from services.settings import Settings

APP = "0190a8c0-0000-7000-8000-00000000000a"
WORK = "0190a8c0-0000-7000-8000-00000000000b"


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    made = engine.connect()
    yield made
    made.close()


@pytest.fixture
def old(client: docker.DockerClient) -> Iterator[str]:
    """A small image of another instance."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as written:
        written.addfile(tarfile.TarInfo(os.urandom(8).hex()))
    changes = [f"LABEL pushlog.instance=old-{os.getpid()}", 'CMD ["/bin/true"]']
    said = client.api.import_image_from_data(tar.getvalue(), changes=changes)
    image = "sha256:" + said.rpartition("sha256:")[2][:64]
    yield image
    containers.remove_image(client, image)


def test_an_image_that_was_saved_is_loaded_without_a_name_and_becomes_the_instances(
    client: docker.DockerClient, old: str, tmp_path: Path
) -> None:
    wanted = Wanted({APP: App("hello", releases={1: "sha256:" + "1" * 64, 2: old}, current=2)})
    assert images.serving(client, wanted) == ([old], [])
    path = tmp_path / "images.tar"
    path.write_bytes(b"".join(images.saved(client, [old])))
    containers.remove_image(client, old)
    settings = Settings(instance=f"new-{os.getpid()}")
    assert images.serving(client, wanted) == ([], [old])
    assert buildstep.look_for(client, settings, [old]) == ({old}, set())

    images.check(path)
    images.load(path)
    loaded = containers.image(client, old)
    assert loaded
    assert client.images.get(old).tags == []
    assert buildstep.look_for(client, settings, [old]) == (set(), {old})

    request = BuildRequest(APP, "hello", WORK, 1, Path(), "c" * 40, {})
    own = buildstep.own(client, settings, request, old)
    try:
        assert buildstep.look_for(client, settings, [own]) == (set(), set())
        made = containers.image(client, own)
        assert made
        assert made.labels["pushlog.instance"] == settings.instance
        assert (made.labels["pushlog.work"], made.labels["pushlog.image"]) == (WORK, "app")
    finally:
        assert buildstep.remove_app(client, settings, None)


def test_what_docker_does_not_load_is_a_sentence(client: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(10240))
    with pytest.raises(PushlogError, match="Docker"):
        images.load(tmp_path / "x")


def test_without_docker_here_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(Refused, match="run it without --images"), images.connected():
        pass
