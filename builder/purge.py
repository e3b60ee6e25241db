"""The end of an instance's build containers, images and caches."""

import docker

from builder import buildstep
from services.settings import Settings


def purge(settings: Settings) -> None:
    """Remove them all; the stack and base images stay. Raises Unavailable when Docker does not answer."""
    client = docker.DockerClient.from_env(version="1.41", timeout=120)
    buildstep.remove_leftovers(client, settings, set)
    buildstep.remove_app(client, settings, None)
