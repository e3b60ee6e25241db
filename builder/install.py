"""An app's dependencies: an image of their own, kept until something that they are made from changes."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from builder import containers, sandbox, watch
from builder.buildpacks import Buildpack, Dependencies
from builder.errors import BuildRefused
from builder.job import APP_ID, Job
from builder.watch import Watch
from services.errors import PushlogError, Unavailable


def install(job: Job, stack: str, buildpack: Buildpack, dependencies: Dependencies) -> str:
    """The id of an image of the stack and the dependencies: the app's last one if it was made of the same things.

    Raises BuildRefused when the command fails or goes beyond a limit; the app's last one stays then.
    """
    key = _key(job, stack, buildpack, dependencies)
    last = containers.image(job.client, f"{job.repository}:dependencies")
    if last is not None and last.labels.get("pushlog.dependencies") == key:
        job.output.detail("Using cached dependencies")
        return last.id
    job.output.step("Installing dependencies with uv")
    made = _make(job, stack, buildpack, dependencies, key)
    if last is not None:
        containers.remove_image(job.client, last.id)  # refused while an image of the app rests on it
    return made


def _key(job: Job, stack: str, buildpack: Buildpack, dependencies: Dependencies) -> str:
    """A digest of all that decides what the dependencies are."""
    parts = [stack, buildpack.name, buildpack.version, dependencies.command, job.source.digest(dependencies.files)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _make(job: Job, stack: str, buildpack: Buildpack, dependencies: Dependencies, key: str) -> str:
    names = {"pushlog.instance": job.settings.instance}
    cache = containers.volume(
        job.client, f"{job.settings.instance}.cache.{job.request.app}", {**names, "pushlog.app": job.request.app}
    )
    network = containers.network(job.client, f"{job.settings.instance}-builds", names)
    host = sandbox.host(job.settings, cache=cache, network=network)
    # the container lives as long as the build may take: a limit that holds even if Pushlog is gone meanwhile
    lifetime = ["/bin/sleep", str(job.settings.build_timeout)]
    with (
        watch.bounded(job, stack, cache),
        containers.container(job.client, stack, job.labels, host, lifetime) as container,
    ):
        containers.put(job.client, container, job.source.tar(owner=APP_ID, folder="app/", names=dependencies.files))
        containers.start(job.client, container)
        with watch.watching(job, container) as watched:
            _run(job, container, dependencies.command, _environment(job, buildpack), watched)
        # what is left in /app is of use only where the command may have built in place
        swept = ["/tmp"] if dependencies.files is None else ["/app", "/tmp"]  # noqa: S108
        _run(job, container, ["/usr/bin/find", *swept, "-mindepth", "1", "-delete"], {})
        containers.kill(job.client, container)
        labels = job.commit_labels("dependencies", dependencies=key)
        return containers.commit(job.client, container, job.repository, "dependencies", labels)


def _environment(job: Job, buildpack: Buildpack) -> Mapping[str, str]:
    return {**sandbox.environment(job.settings), **job.request.env, **buildpack.environment}


def _run(
    job: Job, container: str, argv: Sequence[str], environment: Mapping[str, str], watched: Watch | None = None
) -> None:
    """Run a command of the build, its output to the pusher. Raises what `_failure` says when it does not end well."""
    try:
        code = containers.execute(job.client, container, argv, environment, job.output.program)
    finally:
        job.output.end_program()
    if watched and code == 0:
        watched.look()
    if watched:
        watched.check()
    if code != 0:
        raise _failure(job, container, argv, code)


def _failure(job: Job, container: str, argv: Sequence[str], code: int) -> PushlogError:
    """Why a command ended with `code`: by itself, or by a limit. Ends the container, as Docker counts only then."""
    by_itself = code == containers.KILLED and containers.ends(job.client, container)
    if not by_itself:
        containers.kill(job.client, container)
    state = containers.state(job.client, container)
    if state["OOMKilled"]:
        return BuildRefused(f"the build ran out of memory; allowed are {job.settings.build_memory}")
    if by_itself and state["ExitCode"] == 0:
        return BuildRefused(f"the build took too long; allowed are {job.settings.build_timeout:g} seconds")
    if by_itself:
        return Unavailable("the build's container was stopped from outside")
    return BuildRefused(f"`{' '.join(argv)}` ended with exit code {code}; its output says why")
