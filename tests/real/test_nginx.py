"""Publishing: what is switched to was tested and answered, what went wrong is taken back, what crashed is mended."""

import os
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.front import SOCKET
from router.machine import here
from router.master import LOG_LIMIT, Master
from router.nginx import Nginx
from router.render import AppRoute, RouteRefused, internal, tree
from services.errors import Unavailable
from tests.real.web import Poller, Reply, free_port, get, publish, raw

HOST = "hello.example.com"


def route(*upstreams, release=1, app="hello", hosts=(HOST,), attempt=1):
    return AppRoute(app, release, attempt, tuple(hosts), tuple(upstreams))


@pytest.fixture
def port(router_settings):
    return router_settings.http_port


@pytest.fixture
def folder(router_settings):
    return router_settings.home / "nginx"


def until(done, seconds=10):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        os.sched_yield()


def workers(nginx):
    pid = nginx.status()["pid"]
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return set(children.read().split())


def is_running(pid):
    """Whether the process exists and is not one that only waits for its parent to look."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            return cmdline.read() != b""
    except FileNotFoundError:
        return False


def test_a_published_app_answers_and_its_next_release_replaces_it(nginx, port, web_app):
    old, new = web_app("old"), web_app("new")
    publish(nginx, [route(old.address)], "hello")
    assert get(port, HOST).app == "old"
    publish(nginx, [route(new.address, release=2)], "hello")
    assert {get(port, HOST).app for _ in range(50)} == {"new"}


def test_a_client_that_polls_sees_no_failure_and_never_the_old_release_again(nginx, port, web_app):
    apps = [web_app("even"), web_app("odd")]
    publish(nginx, [route(apps[0].address, release=1)], "hello")
    with Poller(port, HOST) as poller:
        for release in range(2, 12):
            app = apps[(release - 1) % 2]
            publish(nginx, [route(app.address, release=release)], "hello")
            published = time.monotonic()
            until(lambda since=published: len(poller.since(since)) >= 20)
            assert set(poller.since(published)) == {app.name}
    assert poller.failures == []
    assert len(poller.answers) > 200


def test_a_request_in_flight_is_finished_by_the_old_release(nginx, port, web_app):
    old, new = web_app("old"), web_app("new")
    publish(nginx, [route(old.address)], "hello")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
        slow.sendall(f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        assert old.entered.wait(10)
        publish(nginx, [route(new.address, release=2)], "hello")
        assert get(port, HOST).app == "new"
        old.release.set()
        received = b"".join(iter(lambda: slow.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 200")
    assert b'"app": "old"' in received


def test_a_broken_file_of_the_operator_refuses_the_route_and_leaves_every_app_as_it_was(nginx, port, folder, web_app):
    old, other, new = web_app("old"), web_app("other"), web_app("new")
    routes = [route(old.address), route(other.address, app="other", hosts=["other.example.com"])]
    publish(nginx, routes, "hello")
    before, trees = nginx.status(), set((folder / "trees").iterdir())
    (folder / "conf.d/mine.conf").write_text("server { no_such_thing on; }\n")
    with pytest.raises(RouteRefused) as refused:
        publish(nginx, [route(new.address, release=2), routes[1]], "hello")
    assert str(refused.value) == (
        'nginx refused the configuration: unknown directive "no_such_thing" in conf.d/mine.conf:1'
    )
    assert nginx.status() == before
    assert set((folder / "trees").iterdir()) == trees
    assert get(port, HOST).app == "old"
    assert get(port, "other.example.com").app == "other"
    (folder / "conf.d/mine.conf").unlink()
    publish(nginx, [route(new.address, release=2), routes[1]], "hello")
    assert get(port, HOST).app == "new"


def test_an_operators_own_server_is_served_beside_the_apps(nginx, port, folder, web_app):
    (folder / "conf.d/mine.conf").write_text(
        f"server {{ listen 127.0.0.1:{port}; server_name own.example.com; return 200 own; }}\n"
    )
    publish(nginx, [route(web_app("app").address)], "hello")
    assert get(port, "own.example.com").text == "own"
    assert get(port, HOST).app == "app"


def test_an_operators_server_for_the_host_of_an_app_does_not_take_it(nginx, port, folder, web_app):
    (folder / "conf.d/mine.conf").write_text(f"server {{ listen 127.0.0.1:{port}; server_name {HOST}; return 403; }}\n")
    publish(nginx, [route(web_app("app").address)], "hello")
    assert get(port, HOST).app == "app"


def test_an_operators_server_that_takes_the_whole_address_refuses_the_route(router_settings, web_app):
    settings = router_settings.model_copy(update={"http_bind": ""})
    nginx = Nginx(settings)
    try:
        nginx.ensure([])
        mine = settings.home / "nginx/conf.d/mine.conf"
        mine.write_text(f"server {{ listen 127.0.0.1:{settings.http_port}; return 403; }}\n")
        with pytest.raises(RouteRefused, match="another server of nginx answers for this host"):
            publish(nginx, [route(web_app("app").address)], "hello")
    finally:
        nginx.stop()


def test_a_configuration_that_passes_the_test_and_fails_the_reload_is_taken_back(nginx, port, folder, web_app):
    publish(nginx, [route(web_app("old").address)], "hello")
    before = nginx.status()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (folder / "conf.d/mine.conf").write_text(f"server {{ listen {address}; }}\n")
        with pytest.raises(RouteRefused, match=rf"bind\(\) to {address} failed \(98: Address already in use\)"):
            publish(nginx, [route(web_app("new").address, release=2)], "hello")
        assert nginx.status()["pid"] == before["pid"]
        assert get(port, HOST).app == "old"
    (folder / "conf.d/mine.conf").unlink()


def test_a_release_that_does_not_answer_leaves_the_old_one_serving(nginx, port, web_app):
    publish(nginx, [route(web_app("old").address)], "hello")
    before = nginx.status()
    with pytest.raises(RouteRefused) as refused:
        publish(nginx, [route(f"127.0.0.1:{free_port()}", release=2)], "hello")
    assert str(refused.value) == f"{HOST}: no container of the release answered through nginx"
    assert nginx.status() == before
    assert {get(port, HOST).app for _ in range(20)} == {"old"}


def test_a_first_release_that_does_not_answer_leaves_its_host_unknown(nginx, port):
    with pytest.raises(RouteRefused):
        publish(nginx, [route(f"127.0.0.1:{free_port()}")], "hello")
    assert raw(port, f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()) == b""


@pytest.mark.parametrize("status", [301, 401, 404, 500, 502, 503, 504])
def test_an_app_may_answer_with_any_status(nginx, port, web_app, status):
    publish(nginx, [route(web_app("app", status=status).address)], "hello")
    assert get(port, HOST).status == status


def test_an_app_whose_first_answer_takes_long_is_waited_for(nginx, port, web_app):
    slow = web_app("slow", slow=True)
    with ThreadPoolExecutor() as pool:
        publishing = pool.submit(publish, nginx, [route(slow.address)], "hello")
        assert slow.entered.wait(10)
        assert not publishing.done()
        slow.release.set()
        publishing.result(10)
    assert get(port, HOST).app == "slow"


def test_an_app_that_answers_nothing_within_the_check_timeout_is_refused(nginx, port, router_settings, web_app):
    publish(nginx, [route(web_app("old").address)], "hello")
    hasty = Nginx(router_settings.model_copy(update={"check_timeout": 0.2}))
    with pytest.raises(RouteRefused, match=f"{HOST}: nothing answered through nginx"):
        publish(hasty, [route(web_app("silent", slow=True).address, release=2)], "hello")
    assert get(port, HOST).app == "old"


@pytest.fixture
def dripping():
    """The address of an app that sends its answer's headers byte by byte and never ends them."""
    ended = threading.Event()

    def drip(connection):
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not ended.wait(0.02):
                connection.sendall(b"x")

    def serve():
        while not ended.is_set():
            threading.Thread(target=drip, args=server.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        ended.set()
        socket.create_connection(server.getsockname()).close()


def test_an_app_that_answers_byte_by_byte_is_refused_at_the_check_timeout_too(router_settings, nginx, dripping):
    hasty = Nginx(router_settings.model_copy(update={"check_timeout": 0.3}))
    begun = time.monotonic()
    with pytest.raises(RouteRefused, match=f"{HOST}: nothing answered through nginx"):
        publish(hasty, [route(dripping)], "hello")
    assert time.monotonic() - begun < 2


OWN = "pushlog.invalid", "localhost", "tree", "unix"


def test_an_app_may_have_any_host_and_is_asked_nothing_but_its_proof(nginx, port, web_app, dripping):
    """`pushlog.invalid` is the host that the router asked before it had a socket: logs may hold it."""
    app, other = web_app("app"), web_app("other")
    routes = [route(app.address, hosts=OWN), route(other.address, app="other", hosts=["other.example.com"])]
    publish(nginx, routes, "hello")
    assert {get(port, host).app for host in OWN} == {"app"}
    publish(nginx, [routes[0], route(other.address, app="other", hosts=["other.example.com"], release=2)], "other")
    nginx.status()
    assert len(app.requests) == 1 + len(OWN)
    slow = route(dripping, hosts=OWN, release=2)
    nginx.ensure([slow, routes[1]])
    begun = time.monotonic()
    for release in (3, 4):
        publish(nginx, [slow, route(other.address, app="other", hosts=["other.example.com"], release=release)], "other")
    assert time.monotonic() - begun < 2


def test_an_nginx_that_stands_still_is_asked_for_a_moment_and_keeps_nobody_from_the_lock(nginx, web_app, monkeypatch):
    monkeypatch.setattr("router.nginx.ANSWER_WITHIN", 0.3)
    at_work = [int(pid) for pid in workers(nginx)]
    for pid in at_work:
        os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor() as pool:
            begun = time.monotonic()
            looking = pool.submit(nginx.look)
            until(looking.running)
            assert nginx._lock.acquire(timeout=0.1)
            nginx._lock.release()
            assert not looking.done()
            assert looking.result(5).tree == ""
            assert 0.3 <= time.monotonic() - begun < 1
    finally:
        for pid in at_work:
            os.kill(pid, signal.SIGCONT)


def test_the_proof_is_one_request_to_the_app(nginx, web_app):
    app = web_app("app")
    publish(nginx, [route(app.address)], "hello")
    assert [(method, path) for method, path, _ in app.requests] == [("GET", "/")]
    assert "X-Pushlog-Probe" not in app.requests[0][2]


def test_an_app_with_wildcard_hosts_only_is_proven_and_served(nginx, port, web_app):
    exact, any_other = web_app("exact"), web_app("any")
    routes = [
        route(exact.address, hosts=["a.example.com"]),
        route(any_other.address, app="wild", hosts=["*.example.com"]),
    ]
    publish(nginx, routes[:1], "hello")
    publish(nginx, routes, "wild")
    assert get(port, "a.example.com").app == "exact"
    assert get(port, "b.example.com").app == "any"
    assert get(port, "c.b.example.com").app == "any"
    assert raw(port, b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n") == b""


def test_an_app_without_hosts_and_one_that_is_gone_are_published_without_a_proof(nginx, port, web_app):
    app = web_app("app")
    publish(nginx, [route(app.address)], "hello")
    publish(nginx, [route(app.address, hosts=[])], "hello")
    assert raw(port, f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()) == b""
    publish(nginx, [route(app.address, release=2)], "hello")
    publish(nginx, [], "hello")
    assert raw(port, f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()) == b""


def test_a_stopped_app_answers_502_with_a_page(nginx, port):
    publish(nginx, [route()], "hello")
    reply = get(port, HOST)
    assert (reply.status, reply.headers["Content-Type"]) == (502, "text/html")
    assert "This app is stopped" in reply.text


def test_publishing_the_same_again_reloads_nothing(nginx, web_app):
    app = web_app("app")
    publish(nginx, [route(app.address)], "hello")
    before = workers(nginx)
    publish(nginx, [route(app.address)], "hello")
    nginx.ensure([route(app.address)])
    assert workers(nginx) == before


def test_a_new_pushlog_adopts_the_running_nginx(nginx, router_settings, web_app):
    app = web_app("app")
    publish(nginx, [route(app.address)], "hello")
    before, at_work = nginx.status(), workers(nginx)
    successor = Nginx(router_settings)
    successor.ensure([route(app.address)])
    assert successor.status() == before
    assert workers(successor) == at_work


def test_an_nginx_that_an_older_version_started_is_taken_over_without_a_failed_request(
    router_settings, port, folder, web_app
):
    """It has no socket that tells its tree, so it counts as serving another one."""
    app = web_app("app")
    for name in ("trees/old.1", "logs", "temp", "conf.d", "run"):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o711)
    with socket.socket(socket.AF_UNIX) as stale:  # as a reload leaves it that nginx did not take
        stale.bind(f"/proc/self/fd/{os.open(folder, os.O_PATH)}/{SOCKET}")
    (folder / "trees/old.1/nginx.conf").write_text(
        "worker_processes 2; pid nginx.pid; error_log logs/error.log; events {}\n"
        "http { access_log off; client_body_temp_path temp/body; proxy_temp_path temp/proxy;"
        " proxy_ignore_headers X-Accel-Redirect;"
        f" server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{app.address}; }} }} }}\n"
    )
    (folder / "current").symlink_to("trees/old.1")
    subprocess.run(["nginx", "-p", ".", "-c", "current/nginx.conf"], cwd=folder, check=True)
    nginx = Nginx(router_settings)
    try:
        until(lambda: nginx.status()["running"])
        pid = nginx.status()["pid"]
        assert nginx.status()["tree"] is None
        with Poller(port, HOST) as poller:
            until(lambda: len(poller.answers) > 5)
            publish(nginx, [route(app.address)], "hello")
            since = time.monotonic()
            until(lambda: len(poller.since(since)) > 20)
        assert poller.failures == []
        assert is_fronted(folder)
        assert nginx.status()["pid"] == pid
        assert nginx.status()["tree"]
    finally:
        nginx.stop()


def test_changed_settings_reach_the_running_nginx(nginx, port, router_settings, web_app):
    app = web_app("app")
    publish(nginx, [route(app.address)], "hello")
    moved = router_settings.model_copy(update={"http_port": free_port()})
    successor = Nginx(moved)
    successor.ensure([route(app.address)])
    assert successor.status()["pid"] == nginx.status()["pid"]
    assert get(moved.http_port, HOST).app == "app"
    with pytest.raises(ConnectionRefusedError):
        get(port, HOST)


def half_written_tree(nginx, folder, other):
    (folder / "trees/0123456789abcdef.01234567/apps").mkdir(parents=True)
    (folder / "trees/0123456789abcdef.01234567/nginx.conf").write_text("http {")


def swapped_but_not_reloaded(nginx, folder, other):
    nginx._trees.point(nginx._trees.write(nginx._render([route(other.address, release=2)], nginx._with_front())))


def dangling_link(nginx, folder, other):
    nginx._trees.point("trees/gone")


def left_over_new_link(nginx, folder, other):
    (folder / "current.new").symlink_to("trees/gone")


def pid_file_of_another_process(nginx, folder, other):
    (folder / "nginx.pid").write_text(f"{os.getpid()}\n")


def lost_pid_file(nginx, folder, other):
    (folder / "nginx.pid").unlink()


def reloaded_by_hand(nginx, folder, other):
    before = workers(nginx)
    swapped_but_not_reloaded(nginx, folder, other)
    os.kill(nginx.status()["pid"], signal.SIGHUP)
    until(lambda: workers(nginx) and not workers(nginx) & before)


def lost_socket(nginx, folder, other):
    (folder / "current/tree.sock").unlink()


def lost_front(nginx, folder, other):
    (folder / SOCKET).unlink()


def killed_master(nginx, folder, other):
    pid = nginx.status()["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: nginx.status()["pid"] is None)


def killed_master_and_half_a_tree(nginx, folder, other):
    killed_master(nginx, folder, other)
    for path in (folder / "current/apps").iterdir():
        path.unlink()


def stopped_nginx(nginx, folder, other):
    nginx.stop()


@pytest.mark.parametrize(
    "crash",
    [
        half_written_tree,
        swapped_but_not_reloaded,
        dangling_link,
        left_over_new_link,
        pid_file_of_another_process,
        lost_pid_file,
        reloaded_by_hand,
        lost_socket,
        lost_front,
        killed_master,
        killed_master_and_half_a_tree,
        stopped_nginx,
    ],
)
def test_the_next_start_mends_what_a_crash_left(nginx, port, folder, router_settings, web_app, crash):
    app, other, new = web_app("app"), web_app("other"), web_app("new")
    publish(nginx, [route(app.address)], "hello")
    crash(nginx, folder, other)
    successor = Nginx(router_settings)
    successor.ensure([route(app.address)])
    assert {get(port, HOST).app for _ in range(20)} == {"app"}
    publish(successor, [route(new.address, release=3)], "hello")
    assert {get(port, HOST).app for _ in range(20)} == {"new"}
    assert len(list((folder / "trees").iterdir())) <= 2


def test_the_front_gives_way_to_an_operators_server_and_comes_back(nginx, port, folder, web_app):
    """A server of the operator may listen on the router's port, which two modules of nginx cannot share."""
    app = web_app("app")
    publish(nginx, [route(app.address)], "hello")
    mine = folder / "conf.d/mine.conf"
    with Poller(port, HOST) as poller:
        assert is_fronted(folder)
        mine.write_text(f"server {{ listen 127.0.0.1:{port}; server_name own.example.com; return 200 own; }}\n")
        nginx.ensure([route(app.address)])
        assert not is_fronted(folder)
        assert get(port, "own.example.com").text == "own"
        mine.unlink()
        nginx.ensure([route(app.address)])
        assert is_fronted(folder)
        since = time.monotonic()
        until(lambda: len(poller.since(since)) > 20)
    assert poller.failures == []


def is_fronted(folder):
    return "\nstream {" in (folder / "current/nginx.conf").read_text()


def test_a_stream_module_that_nginx_does_not_load_is_done_without(router_settings, port, folder, web_app, monkeypatch):
    monkeypatch.setattr("router.machine.stream_module", lambda program: "/no/such/module.so")
    nginx = Nginx(router_settings)
    try:
        publish(nginx, [route(web_app("app").address)], "hello")
        assert get(port, HOST).app == "app"
        assert not is_fronted(folder)
    finally:
        nginx.stop()


def test_a_publish_starts_an_nginx_that_does_not_run(nginx, port, web_app):
    nginx.stop()
    publish(nginx, [route(web_app("app").address)], "hello")
    assert get(port, HOST).app == "app"


def test_an_nginx_that_cannot_listen_is_a_sentence_and_leaves_nothing_running(router_settings):
    with socket.create_server(("127.0.0.1", router_settings.http_port)):
        nginx = Nginx(router_settings)
        with pytest.raises(Unavailable, match=r"nginx did not start: bind\(\) to .* Address already in use"):
            nginx.ensure([])
        assert nginx.status() == {"running": False, "pid": None, "tree": None}


def test_a_missing_nginx_is_a_sentence(router_settings):
    nginx = Nginx(router_settings.model_copy(update={"nginx": "/no/such/nginx"}))
    with pytest.raises(Unavailable, match="/no/such/nginx is not there; install nginx or set PUSHLOG_NGINX"):
        nginx.ensure([])


def test_stop_leaves_no_process_even_under_an_open_connection(nginx, port, web_app):
    app = web_app("app")
    publish(nginx, [route(app.address)], "hello")
    pids = {int(pid) for pid in workers(nginx)} | {nginx.status()["pid"]}
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert app.entered.wait(10)
        nginx.stop()
    assert not any(is_running(pid) for pid in pids)
    nginx.stop()


def test_nginx_inherits_no_secret_from_the_platform(router_settings, monkeypatch):
    monkeypatch.setenv("PUSHLOG_MASTER_KEY", "f" * 64)
    nginx = Nginx(router_settings)
    nginx.ensure([])
    with open(f"/proc/{nginx.status()['pid']}/environ", "rb") as environ:
        assert b"f" * 64 not in environ.read()
    nginx.stop()


def test_what_nginx_reads_is_closed_to_others(nginx, folder):
    assert (folder / "probe-token").stat().st_mode & 0o777 == 0o600
    assert (folder / "trees").stat().st_mode & 0o777 == 0o700


def test_a_long_error_log_is_set_aside(nginx, port, folder, web_app):
    log = folder / "logs/error.log"
    os.truncate(log, LOG_LIMIT + 1)
    nginx.ensure([])
    until(lambda: log.exists() and log.stat().st_size == 0)
    assert (folder / "logs/error.log.1").stat().st_size == LOG_LIMIT + 1
    with pytest.raises(RouteRefused):
        publish(nginx, [route(f"127.0.0.1:{free_port()}")], "hello")
    assert "connect() failed" in log.read_text()


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@pytest.fixture
def tester(tmp_path, router_settings):
    """Tests a set of routes with `nginx -t`, and returns what it warned of."""
    name = f"trees/{'0' * 16}.{'0' * 8}"
    for folder in ("temp", "logs", "run", "conf.d", f"{name}/apps"):
        (tmp_path / folder).mkdir(parents=True)

    def check(routes):
        for path in (tmp_path / name / "apps").iterdir():
            path.unlink()
        for path, text in (tree(routes, router_settings, "0" * 32, here("nginx")) | internal(name)).items():
            (tmp_path / name / path).write_text(text)
        result = Master("nginx", tmp_path)._run("-t", "-c", f"{name}/nginx.conf")
        assert result.returncode == 0, result.stderr
        return [line for line in result.stderr.splitlines() if "[" in line]

    return check


def test_nginx_takes_200_apps_with_the_longest_and_oddest_names_without_a_warning(tester):
    odd = ["0", "a-b", "a.b", "x" * 63, "admin", "server", "upstream", "default", "http", "localhost", "127.0.0.1.v1"]
    long = ".".join(["h" * 63] * 3)
    apps = odd + [f"app-{number}" for number in range(200 - len(odd))]
    routes = [
        AppRoute(
            app,
            999_999_999,
            1,
            (f"{number}.{long}", f"*.w{number}.{'x' * 63}.{'y' * 63}", f"n{number}", f"{number}.xn--bcher-kva.example"),
            ("[fd00::1]:5000", *(f"10.77.{number}.{i}:5000" for i in range(1, 11))),
        )
        for number, app in enumerate(apps)
    ]
    assert tester(routes) == []


@given(st.lists(st.tuples(labels, st.lists(labels, max_size=3, unique=True)), max_size=5, unique_by=lambda t: t[0]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nginx_takes_any_routes_without_a_warning(tester, apps):
    routes = [
        AppRoute(app, 1, 1, tuple(f"{host}.{app}.example" for host in hosts) or (f"*.{app}.example",), ("[::1]:80",))
        for app, hosts in apps
    ]
    assert tester(routes) == []


def test_a_dead_container_among_several_fails_no_request(nginx, port, web_app):
    alive = web_app("alive")
    publish(nginx, [route(f"127.0.0.1:{free_port()}", alive.address, f"127.0.0.1:{free_port()}")], "hello")
    replies: list[Reply] = [get(port, HOST) for _ in range(50)]
    assert {reply.status for reply in replies} == {200}


def test_a_folder_that_somebody_made_for_themselves_alone_keeps_no_worker_out(nginx, port, folder, web_app):
    folder.chmod(0o700)
    app = web_app("app")
    publish(nginx, [route(app.address)], "hello")
    assert get(port, HOST, method="POST", body=b"x" * 50_000).app == "app"  # it lies below the folder for a while
