"""Buildstep on a real Docker: what becomes of a tree, what a build may do, and what is left of it."""

import json
import time
import uuid

import docker
import pytest

from builder import containers, watch
from builder.buildstep import BuildRefused, build, remove_app, remove_leftovers
from services import oom
from services.errors import Unavailable
from tests.real.workshop import Workshop, example, running
from tests.unit.trees import link

NULL = {".null": "", "Procfile": "web: run\nworker: work\n"}
LOCK = """version = 1
revision = 5
requires-python = ">=3.11"

[[package]]
name = "six"
version = "1.17.0"
source = { registry = "https://pypi.org/simple" }
[[package.wheels]]
url = "https://files.pythonhosted.org/packages/b7/ce/149a00dd41f10bc29e5921b496af8b574d8413afcd5e30dfa0ed46c2cc5e/six-1.17.0-py2.py3-none-any.whl"
hash = "sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"
size = 11050

[[package]]
name = "x"
version = "1"
source = { virtual = "." }
dependencies = [
    { name = "six" },
]

[package.metadata]
requires-dist = [{ name = "six" }]
"""


@pytest.fixture
def workshop(tmp_path):
    client = docker.DockerClient.from_env(version="1.41")
    workshop = Workshop(client, tmp_path)
    yield workshop
    workshop.close()
    client.close()


def test_a_python_app_without_dependencies_becomes_an_image_and_no_container_is_started(workshop):
    with workshop.actions() as actions:
        result = workshop.build(example("hello-python"))
    assert actions >= {"create", "commit", "destroy"}
    assert "start" not in actions
    assert (result.buildpack, result.processes) == ("python", {"web": "python app.py"})
    seen = workshop.run(result.image, "/bin/bash", "-c", 'id -un; pwd; echo $HOME; stat -c "%U %a" app.py; python -V')
    assert seen.split("\n")[:4] == ["app", "/app", "/app", "app 644"]
    assert seen.split("\n")[4].startswith("Python 3.")
    assert "-----> Python app detected\n" in workshop.said
    assert "       Procfile declares types: web\n" in workshop.said
    assert workshop.containers() == []


def test_a_null_app_becomes_the_stack_and_its_files(workshop):
    result = workshop.build(example("hello-null"))
    assert result.buildpack == "null"
    assert "Hello" in workshop.run(result.image, "cat", "public/index.html")
    labels = workshop.client.images.get(result.image).labels
    assert labels["pushlog.app"] == workshop.app
    assert labels["pushlog.commit"] == "c" * 40


def test_dependencies_are_installed_once_and_used_again_until_they_change(workshop):
    tree = example("hello-flask")
    first = workshop.build(tree)
    assert "Installed" in workshop.said
    assert "Using cached" not in workshop.said
    with workshop.actions() as actions:
        second = workshop.build({**tree, "app.py": "changed = True\n"})
    assert "commit" in actions
    assert "start" not in actions
    assert "       Using cached dependencies\n" in workshop.said
    assert workshop.run(second.image, "cat", "app.py") == "changed = True\n"
    assert "gunicorn" in workshop.run(second.image, "gunicorn", "--version")
    assert first.image != second.image
    workshop.output.clear()
    third = workshop.build({**tree, "requirements.txt": "gunicorn>=23\n"})
    assert "Installed" in workshop.said
    assert "No module" in workshop.run(third.image, "bash", "-c", "python -c 'import flask' || true")


def test_a_locked_project_is_installed_as_locked(workshop):
    tree = {
        "Procfile": "web: run\n",
        ".python-version": "3.11.9\n",
        "pyproject.toml": '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["six"]\n',
    }
    with pytest.raises(BuildRefused, match=r"^`/usr/local/bin/uv sync --locked --no-dev` ended with exit code"):
        workshop.build({**tree, "uv.lock": 'version = 1\n[[package]]\nname = "a"\nsource = { registry = "x" }\n'})
    result = workshop.build({**tree, "uv.lock": LOCK})
    assert workshop.run(result.image, "python", "-c", "import six; print(six.__name__)") == "six\n"


def test_a_project_of_the_tree_is_installed_again_when_any_file_of_it_changes(workshop):
    tree = running("pass")
    workshop.build(tree)
    workshop.build(tree)
    assert workshop.said.count("Using cached dependencies") == 1
    workshop.build({**tree, "more.txt": ""})
    assert workshop.said.count("Using cached dependencies") == 1


def test_a_file_that_the_next_push_does_not_have_is_gone_from_its_image(workshop):
    tree = example("hello-flask")
    workshop.build({**tree, "old.py": ""})
    result = workshop.build(tree)
    assert workshop.run(result.image, "ls", "-A").split() == ["Procfile", "app.py", "requirements.txt"]


def test_config_vars_reach_the_install_and_stay_nowhere(workshop):
    canary = f"canary-{uuid.uuid4().hex}"
    during = []

    def out(line: bytes) -> None:
        during.extend(json.dumps(workshop.client.api.inspect_container(found)) for found in workshop.containers())

    tree = running('pathlib.Path("/app/seen").write_text(os.environ["CANARY"][::-1])')
    result = build(workshop.client, workshop.settings, workshop.request(tree, env={"CANARY": canary}), out)
    assert workshop.run(result.image, "cat", "/app/seen") == canary[::-1]
    assert during
    assert canary not in "".join(during)
    images = [result.image, f"{workshop.settings.instance}/{workshop.app}:dependencies"]
    told = [[workshop.client.api.inspect_image(found), workshop.client.api.history(found)] for found in images]
    assert canary not in json.dumps(told)
    whole = workshop.client.api.get_image(result.image, chunk_size=1 << 20)
    assert found_in(whole, [canary.encode(), canary[::-1].encode()]) == {canary[::-1].encode()}


def found_in(chunks, needles):
    """Which of `needles` are in a stream, across the ends of its chunks too."""
    found = set()
    rest = b""
    for chunk in chunks:
        rest += chunk
        found.update(needle for needle in needles if needle in rest)
        rest = rest[-100:]
    return found


def test_an_install_runs_as_nobody_in_particular_and_reaches_nothing_of_the_host(workshop):
    result = workshop.build(
        running("""
status = dict(line.split(":\\t", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
pathlib.Path("/app/seen.json").write_text(json.dumps({
    "uid": os.getuid(),
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "ended_first": int(pathlib.Path("/proc/self/oom_score_adj").read_text()),
    "sockets": [str(path) for path in pathlib.Path("/").glob("**/docker.sock")],
    "bundle": os.access(os.environ.get("SSL_CERT_FILE", "/none"), os.W_OK),
    "mounts": [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()],
}))
""")
    )
    seen = json.loads(workshop.run(result.image, "cat", "/app/seen.json"))
    own = ("/proc", "/sys", "/dev", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts")
    mounts = {mount for mount in seen.pop("mounts") if mount != "/" and not mount.startswith(own)}
    assert mounts == {"/cache", "/etc/ssl/host-ca.crt"}
    assert seen.pop("ended_first") == oom.BUILD > oom.APP
    assert seen == {"uid": 1000, "capabilities": 0, "no_new_privileges": "1", "sockets": [], "bundle": False}


def test_an_install_that_fails_is_refused_with_its_output_and_the_last_dependencies_stay(workshop):
    workshop.build(running("pass"))
    with pytest.raises(
        BuildRefused, match=r"^`/usr/local/bin/uv pip install \.` ended with exit code [12]; its output"
    ):
        workshop.build(running('raise SystemExit("the reason")'))
    assert "       " in workshop.said
    assert "the reason" in workshop.said
    workshop.build(running("pass"))
    assert "Using cached dependencies" in workshop.said
    assert workshop.containers() == []


def test_an_install_that_takes_too_long_is_ended_by_its_container(workshop):
    begun = time.monotonic()
    with pytest.raises(BuildRefused, match="the build took too long; allowed are 3 seconds"):
        workshop.build(running("import time; time.sleep(100)"), build_timeout=3.0)
    assert time.monotonic() - begun < 20
    assert workshop.containers() == []


def test_an_install_that_takes_too_much_memory_is_ended_and_told_so(workshop):
    with pytest.raises(BuildRefused, match="the build ran out of memory; allowed are 128m"):
        workshop.build(running("x = bytearray(1 << 30); x[::4096] = bytes(1 << 18)"), build_memory="128m")
    assert workshop.containers() == []


def test_an_install_that_forks_without_end_is_stopped_by_the_limit_of_processes(workshop):
    with pytest.raises(BuildRefused, match="ended with exit code"):
        workshop.build(running("while os.fork() >= 0: pass"), build_pids=32, build_timeout=20.0)
    assert workshop.containers() == []


WRITING = """
import time
for number in range(12):
    pathlib.Path("{folder}", f"part{{number}}").write_bytes(os.urandom(8 << 20))
time.sleep({sleep})
"""


@pytest.mark.parametrize(
    ("folder", "said"),
    [("/app", r"^the build wrote \S+ \S+; use at most 32m"), ("/cache", r"wrote \S+ \S+ to /cache; use at most 32")],
)
def test_an_install_that_writes_without_end_is_ended_and_leaves_nothing(workshop, monkeypatch, folder, said):
    monkeypatch.setattr(watch, "EVERY", 0.2)
    begun = time.monotonic()
    with pytest.raises(BuildRefused, match=said):
        workshop.build(
            running(WRITING.format(folder=folder, sleep=60)), build_layer_limit="32m", build_cache_limit="16m"
        )
    assert time.monotonic() - begun < 30, "it was ended while it ran"
    left = workshop.volumes() if folder == "/cache" else []
    assert (workshop.containers(), workshop.images(), left) == ([], [], [])


def test_an_install_that_wrote_too_much_before_anybody_looked_is_refused_all_the_same(workshop):
    with pytest.raises(BuildRefused, match="use at most 32m"):
        workshop.build(running(WRITING.format(folder="/app", sleep=0)), build_layer_limit="32m")
    assert (workshop.containers(), workshop.images()) == ([], [])


def test_a_cache_beyond_its_limit_is_emptied_after_the_build_and_said_to_be(workshop):
    workshop.build(running(WRITING.format(folder="/cache", sleep=0)), build_cache_limit="64m")
    assert "The package cache was larger than PUSHLOG_BUILD_CACHE_LIMIT, 64m, and is emptied" in workshop.said
    assert workshop.volumes() == []
    workshop.build(running("pathlib.Path('/cache/kept').write_text('x')"), build_cache_limit="64m")
    assert len(workshop.volumes()) == 1
    [(labels, _)] = containers.volume_sizes(workshop.client, {"pushlog.instance": workshop.settings.instance})
    assert labels["pushlog.app"] == workshop.app
    assert workshop.said.count("is emptied") == 1


def test_a_build_is_ended_before_the_disk_is_full(workshop, monkeypatch):
    monkeypatch.setattr(watch, "EVERY", 0.2)
    monkeypatch.setattr(watch, "LEFT", 1 << 60)
    with pytest.raises(BuildRefused, match="are free on the disk"):
        workshop.build(running("import time; time.sleep(60)"))
    assert (workshop.containers(), workshop.images()) == ([], [])


def test_an_install_that_prints_without_end_is_cut_with_one_sentence(workshop):
    with pytest.raises(BuildRefused):
        workshop.build(running('print("x" * 100 + "\\n", flush=True); raise SystemExit(1)'), build_output_limit=100)
    assert workshop.said.count("The output went beyond 100 bytes") == 1
    assert len(workshop.said) < 500


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({".null": ""}, r"^Procfile: there is none; add one with a line such as `web: gunicorn app:app`"),
        ({".null": "", "Procfile": link("/etc/passwd")}, r"^Procfile: this is a link; allowed is a regular file"),
        ({".null": "", "Procfile": "web: x\nWeb: y\n"}, r"^Procfile:2: "),
        ({"Procfile": "web: x\n"}, r"^no buildpack takes this tree"),
        ({"Procfile": "web: x\n", "requirements.txt": "", ".python-version": "3.7\n"}, r"^\.python-version: "),
    ],
)
def test_a_tree_that_cannot_become_an_app_is_refused_before_anything_is_made(workshop, tree, why):
    with workshop.actions() as actions, pytest.raises(BuildRefused, match=why):
        workshop.build(tree)
    assert actions == set()
    assert workshop.images() == []


def test_links_stay_links_wherever_they_lead(workshop):
    links = {"passwd": "/etc/passwd", "up": "../../..", "self": "self"}
    result = workshop.build({**NULL, **{name: link(target) for name, target in links.items()}})
    assert workshop.run(result.image, "readlink", *links).split() == list(links.values())


def test_no_docker_and_no_stack_are_unavailable(workshop):
    with pytest.raises(Unavailable, match="the stack image no/stack:here is not there"):
        workshop.build(NULL, stack_image="no/stack:here")
    nowhere = docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.41")
    with pytest.raises(Unavailable, match="Docker does not answer"):
        build(nowhere, workshop.settings, workshop.request(NULL), workshop.output.append)
    nowhere.close()


def test_a_build_whose_container_is_killed_by_hand_is_unavailable_so_that_it_is_tried_again(workshop):
    def out(line: bytes) -> None:
        for container in workshop.client.containers.list(filters=workshop.labelled(process="build")):
            container.kill()

    with pytest.raises(Unavailable, match="stopped from outside"):
        build(workshop.client, workshop.settings, workshop.request(running("pass")), out)


def test_an_interrupted_builds_container_goes_unless_its_attempt_is_kept(workshop):
    def left(work: str, attempt: int, process: str = "build") -> str:
        labels = {"instance": workshop.settings.instance, "process": process, "work": work, "attempt": str(attempt)}
        named = {f"pushlog.{key}": value for key, value in labels.items()}
        return str(workshop.client.api.create_container(workshop.settings.stack_image, labels=named)["Id"])

    kept, _, _, other = left("w1", 2), left("w1", 1), left("w2", 2), left("w2", 2, process="web")
    remove_leftovers(workshop.client, workshop.settings, lambda: {("w1", 2)})
    assert set(workshop.containers()) == {kept, other}
    remove_leftovers(workshop.client, workshop.settings, set)
    assert workshop.containers() == [other]


def test_a_build_that_begins_while_leftovers_are_looked_for_loses_nothing(workshop):
    begun = []

    def keep():
        labels = {"instance": workshop.settings.instance, "process": "build", "work": "w3", "attempt": "1"}
        named = {f"pushlog.{key}": value for key, value in labels.items()}
        begun.append(str(workshop.client.api.create_container(workshop.settings.stack_image, labels=named)["Id"]))
        return set()

    remove_leftovers(workshop.client, workshop.settings, keep)
    assert workshop.containers() == begun


def test_a_destroyed_apps_images_and_cache_go_and_another_apps_stay(workshop):
    first = workshop.build(running("pass"))
    workshop.build(running("print()"))
    gone, workshop.app = workshop.app, str(uuid.uuid4())
    other = workshop.build(NULL)
    labels = {"pushlog.instance": workshop.settings.instance, "pushlog.process": "web"}
    user = workshop.client.containers.run(first.image, ["sleep", "60"], detach=True, labels=labels)
    assert not remove_app(workshop.client, workshop.settings, gone)
    assert first.image in workshop.images()
    user.remove(force=True)
    assert remove_app(workshop.client, workshop.settings, gone)
    assert workshop.images() == [other.image]
    assert workshop.volumes() == []
    assert remove_app(workshop.client, workshop.settings, gone)


def test_a_container_that_someone_runs_from_an_image_is_not_taken_for_a_build(workshop):
    result = workshop.build(NULL)
    container = workshop.client.api.create_container(result.image)["Id"]
    remove_leftovers(workshop.client, workshop.settings, set)
    assert workshop.containers() == [container]
