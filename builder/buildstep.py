"""Buildstep: a pushed tree becomes an image.

The tree goes as a tar into a container of the stack and is never unpacked on the host. Dependencies are an image of
their own (install.py); the app's image is that one, or the stack, with the sources added without starting anything.
"""

from collections.abc import Callable, Collection, Iterable
from io import BytesIO

import docker

from builder import buildpacks, containers, procfile
from builder.containers import translated
from builder.errors import BuildRefused
from builder.install import install
from builder.job import APP_ID, BuildRequest, BuildResult, Job
from builder.output import Output
from builder.source import Source
from services.errors import Unavailable
from services.settings import Settings

__all__ = ["BuildRefused", "BuildRequest", "BuildResult", "build", "remove_app", "remove_leftovers"]

PROCFILE_LIMIT = 64 * 1024


def build(
    client: docker.DockerClient, settings: Settings, request: BuildRequest, out: Callable[[bytes], None]
) -> BuildResult:
    """Build an image, saying so to `out` line by line (bytes, each with its line feed).

    Raises BuildRefused when the app itself is at fault and Unavailable when Docker is. No container is left.
    """
    source = Source.read(request.source, file_limit=settings.file_limit, tree_limit=settings.tree_limit)
    processes = _processes(source)
    buildpack = buildpacks.detect(source.names)
    output = Output(out, settings.build_output_limit)
    job = Job(client, settings, request, source, output)
    output.step(f"{buildpack.name} app detected")
    with translated():
        stack = _stack(client, settings, request.stack)
        dependencies = buildpack.dependencies(source, stack.labels["pushlog.python"])
        base = install(job, stack.id, buildpack, dependencies) if dependencies else stack.id
        output.step("Discovering process types")
        output.detail(f"Procfile declares types: {', '.join(processes)}")
        return BuildResult(_add_source(job, base), stack.id, buildpack.name.lower(), processes)


def check(client: docker.DockerClient) -> None:
    """Return when Docker answers; raises Unavailable when it does not."""
    with translated():
        client.api.ping()


def remove_leftovers(
    client: docker.DockerClient, settings: Settings, keep: Callable[[], Collection[tuple[str, int]]]
) -> None:
    """Remove this instance's build containers, but for those whose (work, attempt) is in what `keep` answers.

    It is asked after the containers are listed, so that a build that begins meanwhile loses none.
    """
    filters = {"label": [f"pushlog.instance={settings.instance}", "pushlog.process=build"]}
    with translated():
        listed = client.api.containers(all=True, filters=filters)
        kept = {(work, str(attempt)) for work, attempt in keep()}
        for found in listed:
            labels = found["Labels"]
            if (labels.get("pushlog.work"), labels.get("pushlog.attempt")) not in kept:
                containers.remove(client, found["Id"])


def remove_image(client: docker.DockerClient, image: str) -> None:
    """Remove one image that a build made and nobody uses, by its id."""
    with translated():
        containers.remove_image(client, image)


def remove_app(client: docker.DockerClient, settings: Settings, app: str | None) -> bool:
    """Remove the images and the cache of a destroyed app, or of all apps; returns whether nothing is left.

    What a container still uses stays: call again when that is gone.
    """
    filters = {"label": [f"pushlog.instance={settings.instance}", f"pushlog.app={app}" if app else "pushlog.app"]}
    with translated():
        images = client.api.images(filters=filters, all=True)
        images.sort(
            key=lambda found: found["Labels"].get("pushlog.image", "")
        )  # "app" before the "dependencies" it rests on
        volumes = client.api.volumes(filters=filters)["Volumes"] or []
        gone = [containers.remove_image(client, found["Id"]) for found in images]
        gone += [containers.remove_volume(client, found["Name"]) for found in volumes]
    return all(gone)


def apps_with_images(client: docker.DockerClient, settings: Settings) -> set[str]:
    """The uuids of the apps that images of this instance were built for."""
    filters = {"label": [f"pushlog.instance={settings.instance}", "pushlog.app"]}
    with translated():
        images = client.api.images(filters=filters, all=True)
    return {found["Labels"]["pushlog.app"] for found in images}


def _processes(source: Source) -> dict[str, str]:
    if "Procfile" not in source.names:
        raise BuildRefused(f"Procfile: there is none; add one with a line such as `{procfile.EXAMPLE}`")
    return procfile.parse(source.read_file("Procfile", limit=PROCFILE_LIMIT))


def look_for(client: docker.DockerClient, settings: Settings, images: Iterable[str]) -> tuple[set[str], set[str]]:
    """Those of the images, by their ids, that Docker has not; and those that it has, and not as this instance's."""
    with translated():
        filters = {"label": [f"pushlog.instance={settings.instance}"]}
        ours = {found["Id"] for found in client.api.images(filters=filters, all=True)}
        found = {image: containers.image(client, image) for image in images if image not in ours}
    return {i for i, known in found.items() if not known}, {i for i, known in found.items() if known}


def own(client: docker.DockerClient, settings: Settings, request: BuildRequest, image: str) -> str:
    """The id of an image that is the same as `image`, and this instance's."""
    job = Job(client, settings, request, Source(BytesIO(), {}), Output(lambda line: None, 0))
    with translated(), containers.container(client, image, job.labels, {"network_mode": "none"}) as container:
        return _commit(job, container)


def _stack(client: docker.DockerClient, settings: Settings, wanted: str) -> containers.Image:
    stack = (containers.image(client, wanted) if wanted else None) or containers.image(client, settings.stack_image)
    if stack is None:
        raise Unavailable(f"the stack image {settings.stack_image} is not there; script/bootstrap makes it")
    if "pushlog.python" not in stack.labels:
        raise Unavailable(f"the image {settings.stack_image} is no stack: it has no label pushlog.python")
    return stack


def _add_source(job: Job, base: str) -> str:
    """The id of an image of `base` with the tree in /app, made from a container that never starts."""
    with containers.container(job.client, base, job.labels, {"network_mode": "none"}) as container:
        containers.put(job.client, container, job.source.tar(owner=APP_ID, folder="app/"))
        return _commit(job, container)


def _commit(job: Job, container: str) -> str:
    tag = f"{job.request.work}-{job.request.attempt}"
    labels = job.commit_labels("app", commit=job.request.commit)
    return containers.commit(job.client, container, job.repository, tag, labels)
