"""The platform itself: starting and stopping it, what its doors refuse, many at once, and bad git objects."""

import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, Poller, Running, docker, free_port, wait_for
from tests.e2e.world import StoredLog, answers_within, at_once, in_docker, processes, serving

Checkouts = Callable[..., Checkout]

ONE_PROCESS = pytest.mark.only("embedded", "it is about `pushlog up`, which runs every service in one process")

# Up, down, status


def test_apps_serve_while_the_platform_is_down_and_when_it_is_back(
    mortal: Instance, checkout: Checkouts, app: str
) -> None:
    checkout(mortal, ECHO).push(app)
    container, log = serving(mortal, app), StoredLog(mortal)
    before = log.head()
    with Poller(mortal, app) as visitor:
        mortal.down()
        seen = len(visitor.answers)
        nobody = mortal.pushlog("apps:list", check=False)
        assert (nobody.returncode, nobody.stderr) == (
            1,
            f" !     No Pushlog instance runs at {mortal.home}; start it with: pushlog up --detach\n",
        )
        wait_for(lambda: len(visitor.answers) > seen + 5, "answers while the platform is down")
        mortal.up()
        wait_for(lambda: len(visitor.answers) > seen + 20, "answers when it is back")
    assert visitor.failures == []
    assert serving(mortal, app)["Id"] == container["Id"]
    assert log.head() == before


@ONE_PROCESS
def test_up_and_down_and_status_say_how_it_stands(mortal: Instance) -> None:
    assert f"platform:   process {mortal.pid}\n" in mortal.pushlog("status").stdout
    assert f"Pushlog is running already at {mortal.home}" in mortal.pushlog("up", "--detach").stderr
    mortal.down()
    told = mortal.pushlog("status", check=False)
    assert (told.returncode, "not running" in told.stdout) == (1, True)
    assert f"Pushlog is not running at {mortal.home}" in mortal.pushlog("down").stderr


@ONE_PROCESS
def test_a_second_platform_on_the_same_home_is_refused_in_one_sentence(shared: Instance) -> None:
    pid = shared.pid
    second = shared.pushlog("up", check=False)
    assert second.returncode == 1
    assert second.stderr == f" !     the instance at {shared.home} is running; stop it with: pushlog down\n"
    assert shared.pid == pid
    assert shared.ssh("apps:list").returncode == 0


@ONE_PROCESS
@pytest.mark.parametrize("how", [["up"], ["up", "--detach"]])
def test_the_platform_runs_no_code_of_the_folder_that_it_is_started_in(tmp_path: Path, how: list[str]) -> None:
    (tmp_path / "services").mkdir()
    for module in ("services/__init__.py", "click.py", "json.py"):  # as an app's own may be called
        (tmp_path / module).write_text("raise SystemExit('code of another folder runs')\n")
    with socket.create_server(("", 0)) as other:  # it ends when it has been started
        port = other.getsockname()[1]
        instance = Instance(tmp_path / "home", f"e2e-{os.getpid()}-folder", ssh_port=port, http_port=free_port())
        try:
            argv = [str(Path(sys.executable).with_name("pushlog")), *how]
            with instance.running(argv, tmp_path) as program:
                code, said = program.wait(), "\n".join(program.lines)
            assert (code, f"PUSHLOG_SSH_PORT: {port} cannot be listened on" in said) == (1, True), said
        finally:
            instance.purge()


@ONE_PROCESS
@pytest.mark.parametrize("taken", ["ssh", "http"])
def test_a_taken_port_is_told_in_a_sentence_and_nothing_is_left_running(tmp_path: Path, taken: str) -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        ports = {"ssh_port": free_port(), "http_port": free_port(), f"{taken}_port": port}
        instance = Instance(tmp_path / "home", f"e2e-{os.getpid()}-{taken}", **ports)
        try:
            refused = instance.pushlog("up", "--detach", check=False)
            assert refused.returncode == 1
            assert refused.stderr.splitlines()[1:] == [
                " !     Pushlog did not start; its last words:",
                f" !     PUSHLOG_{taken.upper()}_PORT: {port} cannot be listened on: Address already in use; "
                "allowed is a free port",
            ]
            assert processes(instance.home) == {}
            assert in_docker(instance.name)["containers"] == set()
            assert instance.pushlog("status", check=False).returncode == 1
        finally:
            instance.purge()
    assert not instance.home.exists()
    assert not any(in_docker(instance.name).values())


# What the door refuses


def ssh(
    instance: Instance, options: str, command: str = "", key: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run OpenSSH with options of the test's own, and without its usual silence."""
    usual = [str(key) if key and word == str(instance.key) else word for word in instance.ssh_options]
    argv = ["ssh", "-o", "LogLevel=INFO", *usual, *options.split(), "-p", str(instance.ssh_port), "pushlog@127.0.0.1"]
    words = [*argv, command] if command else argv
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize(
    ("options", "command", "code", "said"),
    [
        ("-T", "ls", 1, "`ls` is not a command."),
        ("-T", "apps:list; id", 1, "`apps:list;` is not a command."),
        ("-T", "apps:exists $(id)", 1, "is not an app name"),
        ("-T", "git-receive-pack 'app;id'", 1, "is not an app name"),
        ("-T", "git-upload-pack --exec=id app", 1, "2 operands"),
        ("-T", "/bin/sh -c id", 1, "is not a command."),
        ("-T", "scp -t /tmp", 1, "is not a command."),
        ("-T", "", 1, "has no shell"),
        ("-tt", "", 1, "has no shell"),
        ("-T -s", "sftp", 255, "subsystem request failed"),
        ("-N -o ExitOnForwardFailure=yes -R 0:127.0.0.1:22", "", 255, "remote port forwarding failed"),
        ("-T -W 127.0.0.1:22", "", 255, "open failed"),
        ("-T -o PreferredAuthentications=password,keyboard-interactive", "help", 255, "Permission denied (publickey)."),
    ],
)
def test_the_door_runs_git_and_the_commands_and_nothing_else(
    shared: Instance, options: str, command: str, code: int, said: str
) -> None:
    with answers_within(shared, 1.0):
        done = ssh(shared, options, command)
        assert done.returncode == code, done
        assert said in done.stdout + done.stderr
        assert "uid=" not in done.stdout
        assert "Traceback" not in done.stdout + done.stderr


def test_a_forwarded_connection_is_refused_and_the_session_lives(shared: Instance, app: str) -> None:
    port = free_port()
    options = ["-p", str(shared.ssh_port), "-L", f"{port}:127.0.0.1:{shared.http_port}"]
    argv = ["ssh", *shared.ssh_options, *options, "pushlog@127.0.0.1", "events", "-t", "--format", "json"]
    session = Running(argv, shared.environment, shared.home.parent)
    try:
        session.wait_for_line("key.added")
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            assert connection.recv(1) == b""
        shared.ssh("apps:create", app)
        session.wait_for_line(app)
    finally:
        session.kill()


def test_an_unknown_key_does_not_get_in(shared: Instance, tmp_path: Path) -> None:
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with answers_within(shared, 1.0):
        done = ssh(shared, "-T", "help", key)
        assert done.returncode == 255
        assert "Permission denied (publickey)." in done.stderr


# Many at once


def test_fifty_clients_at_once_are_all_answered(shared: Instance, app: str) -> None:
    shared.ssh("apps:create", app)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: shared.ssh("apps:list", "--quiet"), range(50)))
    assert {app in answer.stdout.splitlines() for answer in answers} == {True}


def test_of_those_who_create_or_destroy_one_name_at_once_one_wins(shared: Instance, app: str) -> None:
    for _ in range(20):
        created = at_once(shared, [f"apps:create {app}"] * 5)
        assert Counter(each.code for each in created) == {0: 1, 1: 4}
        assert {each.err for each in created if each.code} == {f" !     app: {app} is taken; choose another name\n"}
        destroyed = at_once(shared, [f"--force apps:destroy {app}"] * 5)
        assert Counter(each.code for each in destroyed) == {0: 1, 20: 4}
        assert {each.err for each in destroyed if each.code} == {f" !     App {app} does not exist\n"}
    owned = [event["type"] for event in shared.events(app) if event["stream"] == f"name/{app}"]
    assert owned == ["name.taken", "name.freed"] * 20


# Bad git objects


def commit_of(source: Checkout, entries: list[tuple[str, bytes]]) -> str:
    """A commit whose tree has entries of these modes and raw names, which git itself would not write."""
    blob = source.git("rev-parse", "HEAD:app.py").stdout.strip()
    folder = source.git("rev-parse", "HEAD^{tree}").stdout.strip()
    raw = b"".join(
        mode.encode() + b" " + name + b"\0" + bytes.fromhex(folder if mode == "40000" else blob)
        for mode, name in entries
    )
    made = subprocess.run(
        ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"], cwd=source.path, input=raw,
        capture_output=True, check=True,
    )  # fmt: skip
    return source.git("commit-tree", "-m", "bad", made.stdout.decode().strip()).stdout.strip()


@pytest.mark.parametrize(
    "entry", [("40000", b".git"), ("100644", b".."), ("100644", b"."), ("100644", b".GIT"), ("100644", b"a/b")]
)
def test_a_tree_with_an_unsafe_path_is_refused_and_leaves_nothing(
    shared: Instance, checkout: Checkouts, app: str, entry: tuple[str, bytes]
) -> None:
    source = checkout(shared, ECHO)
    commit = commit_of(source, [entry])
    with answers_within(shared, 1.0):
        pushed = source.push(app, f"{commit}:refs/heads/main", check=False)
        assert pushed.returncode == 1
        assert "[remote rejected]" in pushed.stderr
        assert "Traceback" not in pushed.stderr
    assert shared.ssh("apps:exists", app, check=False).returncode != 0


@pytest.mark.parametrize("ref", ["refs/notes/x", "refs/heads/-h", "refs/pushlog/pushes/x", "refs/heads/" + "x" * 300])
def test_a_ref_with_an_odd_name_is_refused_and_leaves_nothing(
    shared: Instance, checkout: Checkouts, app: str, ref: str
) -> None:
    source = checkout(shared, ECHO)
    with answers_within(shared, 1.0):
        pushed = source.push(app, f"HEAD:{ref}", check=False)
        assert pushed.returncode == 1
        assert "(invalid ref name)" in pushed.stderr
    assert shared.ssh("apps:exists", app, check=False).returncode != 0


def test_a_pack_over_the_limit_is_refused_and_nothing_of_it_stays(
    mortal: Instance, checkout: Checkouts, app: str
) -> None:
    source = checkout(mortal, ECHO)
    source.push(app)
    before = size(mortal.home / "repositories")
    (source.path / "large").write_bytes(os.urandom(3 << 20))
    source.commit()
    with answers_within(mortal, 1.0):
        pushed = source.push(app, check=False)
        assert pushed.returncode == 1
        assert "pack exceeds 1 MiB" in pushed.stderr
    assert size(mortal.home / "repositories") == before
    assert mortal.get(app).text == "one"


def size(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_symlinks_stay_symlinks_and_are_not_followed_here(shared: Instance, checkout: Checkouts, app: str) -> None:
    source = checkout(shared, ECHO)
    for name, target in {"passwd": "/etc/passwd", "up": "../../..", "self": "self"}.items():
        (source.path / name).symlink_to(target)
    source.commit()
    source.push(app)
    links = docker("exec", serving(shared, app)["Id"], "readlink", "/app/passwd", "/app/up", "/app/self")
    assert links.split() == ["/etc/passwd", "../../..", "self"]

    (source.path / "Procfile").unlink()
    (source.path / "Procfile").symlink_to("/etc/passwd")
    source.commit()
    pushed = source.push(app, check=False)
    assert pushed.returncode == 1
    assert "Procfile: this is a link; allowed is a regular file" in pushed.stderr
    assert "root:" not in pushed.stderr
