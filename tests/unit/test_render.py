"""The text of nginx's configuration: what gets in, what cannot, and that it is a function of its input."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import front
from router.limits import limits
from router.machine import Machine
from router.render import AppRoute, RouteRefused, internal, tree, tree_id
from services import names
from services.errors import BadInput
from services.settings import Settings

TOKEN = "0123456789abcdef" * 2
SETTINGS = Settings(http_port=8080)
UPSTREAM = "10.77.0.5:5000"


def route(app="hello", hosts=("hello.example.com",), upstreams=(UPSTREAM,), release=3, attempt=1):
    return AppRoute(app, release, attempt, tuple(hosts), tuple(upstreams))


def blocks(text, name):
    """How many `<name> … {` blocks nginx would read in `text`: comments and quoted strings are none."""
    tokens = re.findall(r'#[^\n]*|"(?:\\.|[^"\\])*"|[{};]|[^\s{};"#]+', text)
    words = [token for token in tokens if not token.startswith("#")]
    starts = [0, *(i + 1 for i, word in enumerate(words) if word in "{};")]
    return sum(
        1
        for start in starts
        if words[start : start + 1] == [name] and next(word for word in words[start:] if word in ("{", "}", ";")) == "{"
    )


def is_accepted(check, value):
    try:
        check(value)
    except BadInput:
        return False
    return True


apps = st.from_regex(names.APP_PATTERN.replace("$", r"\Z")).filter(lambda v: is_accepted(names.app_name, v))
hosts = st.from_regex(names.HOST_PATTERN.replace("$", r"\Z")).filter(lambda v: is_accepted(names.host, v))
upstreams = st.builds(
    lambda ip, port: f"{ip}:{port}" if ip.version == 4 else f"[{ip}]:{port}", st.ip_addresses(), st.integers(1, 65535)
)


@st.composite
def any_routes(draw):
    free = draw(st.lists(hosts, unique=True, max_size=5))
    routes = []
    for app in draw(st.lists(apps, unique=True, max_size=3)):
        count = draw(st.integers(0, len(free)))
        taken, free = free[:count], free[count:]
        routes.append(route(app, taken, draw(st.lists(upstreams, unique=True, max_size=3))))
    return routes


@given(any_routes())
def test_any_routes_make_one_server_for_each_app_with_hosts_and_one_for_unknown_hosts(routes):
    files = tree(routes, SETTINGS, TOKEN)
    served = {r.app for r in routes if r.hosts}
    assert sum(blocks(text, "server") for text in files.values()) == 1 + len(served)
    assert sum(blocks(text, "upstream") for text in files.values()) == sum(1 for r in routes if r.hosts and r.upstreams)
    assert set(files) == {"nginx.conf"} | {f"apps/{app}.conf" for app in served}
    assert tree(reversed(routes), SETTINGS, TOKEN) == files


@given(st.text())
def test_a_text_is_refused_or_stands_in_the_file_as_one_host(text):
    if is_accepted(names.host, text):
        assert f"    server_name {text};\n" in tree([route(hosts=[text])], SETTINGS, TOKEN)["apps/hello.conf"]
    else:
        with pytest.raises(BadInput):
            route(hosts=[text])


@pytest.mark.parametrize(
    "host",
    [
        "a.com; } server { listen 80",
        "a.com\n",
        "a.com\nb.com",
        "a.com#",
        "a.com{",
        "a.com}",
        "$host",
        "~^(.*)$",
        '"',
        "\\",
        "a b",
        "",
        ".",
        "*",
        "*.",
        "_",
        ".a.com",
        "a.*.com",
        "A.com",
        "a.com.",
        "127.0.0.1",
        "é.com",
        "a" * 64 + ".com",
        ".".join(["a" * 63] * 4),
    ],
)
def test_what_is_not_a_host_name_is_refused(host):
    with pytest.raises(BadInput, match=r"^domain: "):
        route(hosts=[host])


@pytest.mark.parametrize(
    "upstream",
    [
        "",
        "10.77.0.5",
        "10.77.0.5:",
        "10.77.0.5:0",
        "10.77.0.5:65536",
        "10.77.0.5:+80",
        "10.77.0.5: 80",
        "10.77.0.5:8_0",
        "10.77.0.5:080",
        "10.77.0.5:٨٠",
        "10.77.0.05:80",
        "10.77.0.5:80;",
        "10.77.0.5:80\n",
        "::1:80",
        "[10.77.0.5]:80",
        "[fe80::1%eth0]:80",
        "[::1%a;}]:80",
        "localhost:80",
        "unix:/run/x.sock",
    ],
)
def test_what_is_not_an_address_and_port_is_refused(upstream):
    with pytest.raises(BadInput, match=r"^upstream: "):
        route(upstreams=[upstream])


@pytest.mark.parametrize("app", ["", "../x", "a/b", "a..b", "A", "a;id", "a\n", "-a"])
def test_what_is_not_an_app_name_is_refused(app):
    with pytest.raises(BadInput, match=r"^app: "):
        route(app)


@pytest.mark.parametrize("numbers", [{"release": 0}, {"attempt": 0}, {"release": -1}, {"release": "1; }"}])
def test_what_is_not_a_release_number_is_refused(numbers):
    with pytest.raises(BadInput, match=r"^release: "):
        route(**numbers)


def test_an_upstream_or_host_named_twice_in_one_route_is_refused():
    with pytest.raises(BadInput, match=r"^route: "):
        route(upstreams=[UPSTREAM, UPSTREAM])
    with pytest.raises(BadInput, match=r"^route: "):
        route(hosts=["a.com", "a.com"])


def test_a_host_of_two_apps_is_refused_and_names_both():
    with pytest.raises(RouteRefused, match=r"shared\.com is routed to both one and two"):
        tree([route("one", ["shared.com"]), route("two", ["shared.com"])], SETTINGS, TOKEN)


def test_an_app_that_is_routed_twice_is_refused():
    with pytest.raises(RouteRefused, match="the app hello is routed twice"):
        tree([route(hosts=["a.com"]), route(hosts=["b.com"])], SETTINGS, TOKEN)


@pytest.mark.parametrize("token", ["", "short", "g" * 32, TOKEN + "\n", TOKEN.upper()])
def test_a_token_of_another_shape_is_refused(token):
    with pytest.raises(BadInput, match=r"^token: "):
        tree([], SETTINGS, token)


def test_the_id_changes_with_a_release_an_upstream_a_setting_or_the_machine():
    variants = [
        tree([], SETTINGS, TOKEN),
        tree([route()], SETTINGS, TOKEN),
        tree([route(release=4)], SETTINGS, TOKEN),
        tree([route(attempt=2)], SETTINGS, TOKEN),
        tree([route(upstreams=["10.77.0.6:5000"])], SETTINGS, TOKEN),
        tree([route()], Settings(http_port=8080, body_limit="2m"), TOKEN),
        tree([route()], SETTINGS, TOKEN, Machine(user="www-data www-data")),
    ]
    assert len({tree_id(files) for files in variants}) == len(variants)


def test_a_tree_tells_its_name_at_a_socket_in_its_own_folder_only():
    name = "trees/0123456789abcdef.01234567"
    text = internal(name)["tree.conf"]
    assert re.findall(r"listen (.*);", text) == [f"unix:{name}/tree.sock"]
    assert "server_name" not in text
    assert "Tree" not in "".join(tree([route()], SETTINGS, TOKEN).values())


@pytest.mark.parametrize(
    "name", ["", "trees/one", "../trees/0123456789abcdef.01234567", "trees/0123456789abcdef.0123456;"]
)
def test_what_is_not_the_name_of_a_tree_is_refused(name):
    with pytest.raises(BadInput, match=r"^tree: "):
        internal(name)


def test_a_stopped_app_answers_502_and_has_no_upstream():
    text = tree([route(upstreams=[])], SETTINGS, TOKEN)["apps/hello.conf"]
    assert "return 502" in text
    assert "proxy_pass" not in text


@pytest.mark.parametrize(
    ("bind", "ipv6", "expected"),
    [
        ("", True, ["0.0.0.0:8080", "[::]:8080"]),
        ("", False, ["0.0.0.0:8080"]),
        ("::", True, ["0.0.0.0:8080", "[::]:8080"]),
        ("[::]", True, ["0.0.0.0:8080", "[::]:8080"]),
        ("0.0.0.0", True, ["0.0.0.0:8080"]),  # noqa: S104
        ("127.0.0.1", True, ["127.0.0.1:8080"]),
        ("::1", True, ["[::1]:8080"]),
        ("[::1]", True, ["[::1]:8080"]),
    ],
)
def test_every_server_listens_on_the_bind_address_only(bind, ipv6, expected):
    files = tree([route()], Settings(http_port=8080, http_bind=bind), TOKEN, Machine(ipv6=ipv6))
    for path in ("nginx.conf", "apps/hello.conf"):
        assert re.findall(r"listen (\S+?)(?: default_server)?;", files[path]) == expected


@pytest.mark.parametrize("bind", ["example.com", "1.2.3", "127.0.0.1; }", "fe80::1%;}", "0.0.0.0:80"])
def test_a_bind_that_is_not_an_address_is_refused(bind):
    with pytest.raises(BadInput, match=r"^PUSHLOG_HTTP_BIND: "):
        tree([], Settings(http_bind=bind), TOKEN)


def test_only_a_master_of_root_gives_its_workers_a_user():
    assert "user www-data www-data;" in tree([], SETTINGS, TOKEN, Machine(user="www-data www-data"))["nginx.conf"]
    assert not re.search(r"^user", tree([], SETTINGS, TOKEN)["nginx.conf"], re.MULTILINE)


def test_the_token_is_in_no_file_of_an_app():
    files = tree([route()], SETTINGS, TOKEN)
    assert TOKEN not in files["apps/hello.conf"]


def numbers(**values):
    """The limits of an instance with these settings, on a machine where a worker may open 65536 files."""
    return limits(Settings(**values), Machine(files=65536))


def test_open_requests_take_half_of_the_connections_at_most_and_fewer_where_files_are_few():
    assert (numbers().slots, numbers().everyone, numbers().client) == (16384, 4096, 128)
    few = limits(SETTINGS, Machine(files=1024))
    assert (few.slots, few.everyone) == (256, 128)


@pytest.mark.parametrize(("size", "expected"), [("1m", (1024, 128)), ("64m", (64, 8)), ("1g", (64, 8))])
def test_uploads_are_fewer_the_larger_they_may_be(size, expected):
    told = numbers(body_limit=size)
    assert (told.uploads, told.client_uploads) == expected


def test_trusted_proxies_and_this_machine_are_counted_among_nobodys():
    assert numbers(trusted_proxies=("10.0.0.0/24", "127.0.0.0/8")).unlimited == (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/24",
    )


def test_without_trusted_proxies_nobodys_word_is_taken_for_an_address():
    assert "real_ip" not in tree([route()], SETTINGS, TOKEN)["nginx.conf"]
    trusting = tree([route()], Settings(trusted_proxies=("10.0.0.0/24",)), TOKEN)["nginx.conf"]
    assert re.findall(r"set_real_ip_from (.*);", trusting) == ["10.0.0.0/24"]


def test_behind_a_front_only_the_front_listens_to_the_world():
    files = tree([route()], SETTINGS, TOKEN, Machine(stream="/modules/stream.so", socket=True))
    assert "load_module /modules/stream.so;" in files["nginx.conf"]
    front, _, http = files["nginx.conf"].partition("\nhttp {")
    assert re.findall(r"listen (.*);", front) == ["0.0.0.0:8080"]
    for text in (http, files["apps/hello.conf"]):
        assert re.findall(r"listen (.*?)(?: default_server backlog=4096)?;", text) == [
            "unix:run/http.sock proxy_protocol"
        ]


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("", True),
        ("# server { in a comment\ngzip on;\nmap $a $server { default 1; }\n", True),
        ("server {\n}\n", False),
        ("  server{ listen 80; }", False),
        ("include /etc/nginx/sites-enabled/*;", False),
        ("gzip on; server { }", False),
    ],
)
def test_a_file_of_the_operator_with_a_server_leaves_no_room_for_a_front(tmp_path, text, free):
    (tmp_path / "own.conf").write_text(text)
    assert front.is_free(tmp_path) == free
