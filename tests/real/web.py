"""Apps to route to, and clients to ask them with: real HTTP over real sockets, nothing hidden."""

import http.client
import json
import socket
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from router.nginx import RouteRefused

PUBLISHED = {}


def publish(nginx, routes, app):
    """Serve `routes` once the one of `app` is proven, or again what was before: router/on_deploy_succeeded.py's way."""
    try:
        nginx.ensure(routes)
        for route in routes:
            if route.app == app:
                nginx.prove(route)
    except RouteRefused:
        nginx.ensure(PUBLISHED.get(nginx._folder, []))
        raise
    PUBLISHED[nginx._folder] = routes


class WebApp:
    """An HTTP/1.1 server on a free port of 127.0.0.1 that answers with its name and the request as JSON.

    Paths with a meaning: `/status/<code>`; `/slow`, which sets `entered` and answers when `release` is set (so does
    every path of a `slow` app);
    `/stream`, which sends one line, waits for `release` and sends another; `/upgrade`, which echoes one message.
    """

    def __init__(self, name="app", status=200, slow=False):
        self.name, self.status, self.slow = name, status, slow
        self.entered, self.release = threading.Event(), threading.Event()
        self.requests = []
        app = self

        class Handler(_Handler):
            def __init__(self, *args):
                self.app = app
                super().__init__(*args)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Accept no more, and end what is waiting."""
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True

    def do_GET(self):
        self.app.requests.append((self.command, self.path, self.headers))
        if self.path == "/slow" or self.app.slow:
            self.app.entered.set()
            self.app.release.wait(30)
        if self.path == "/stream":
            return self.stream()
        if self.path == "/upgrade" and self.headers.get("Upgrade") == "websocket":
            return self.upgrade()
        status = int(self.path.removeprefix("/status/")) if self.path.startswith("/status/") else self.app.status
        return self.reply(status)

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        received = len(self.rfile.read(length))
        self.app.requests.append((self.command, self.path, self.headers))
        return self.reply(200, received=received)

    def reply(self, status, **more):
        headers = [[name.lower(), value] for name, value in self.headers.items()]
        body = json.dumps({"app": self.app.name, "path": self.path, "headers": headers, **more}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Pushlog-Release", "what an app says")
        self.send_header("X-Accel-Redirect", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("X-Accel-Buffering", "no")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: one\n\n")
        self.app.entered.set()
        self.app.release.wait(30)
        self.wfile.write(b"data: two\n\n")

    def upgrade(self):
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "upgrade")
        self.end_headers()
        self.wfile.write(self.rfile.readline())
        self.close_connection = True

    def log_message(self, *_):
        pass


class Reply:
    """An answer as a client sees it: `status`, `headers`, `text`, and what `WebApp` wrote as `app` and `seen`."""

    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode()

    @property
    def app(self):
        return json.loads(self.text)["app"]

    @property
    def seen(self):
        return dict(json.loads(self.text)["headers"])


def get(port, host, path="/", method="GET", body=None, headers=()):
    """One request on a connection of its own; http.client's errors when there is no answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body=body, headers={"Host": host, **dict(headers)})
        return Reply(connection.getresponse())


def raw(port, data):
    """What comes back for these bytes until the other side closes, or is silent for 2 seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
        try:
            sock.sendall(data)
            received = b""
            while part := sock.recv(65536):
                received += part
        except (ConnectionError, TimeoutError):
            pass
        return received


def free_port():
    """A port that nothing listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Poller:
    """Clients that ask for `host` every 10 ms, one on new connections and one that keeps its own alive.

    `answers` are (when it was asked, the name of the app that answered); `failures` everything else. A connection that
    was kept alive, and was closed before a byte of an answer came, is opened again and asked again, as HTTP has it
    (RFC 9112, 9.3.1).
    """

    def __init__(self, port, host):
        self.port, self.host = port, host
        self.answers, self.failures = [], []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(keep,), daemon=True) for keep in (False, True)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def since(self, moment):
        """Who answered what was asked after `moment`."""
        return [app for asked, app in list(self.answers) if asked > moment]

    def run(self, keep):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        fresh = True
        while not self.stopped.wait(0.01):
            asked = time.monotonic()
            try:
                connection.request("GET", "/", headers={"Host": self.host})
                reply = Reply(connection.getresponse())
                if reply.status == 200:
                    self.answers.append((asked, reply.app))
                else:
                    self.failures.append(reply.status)
                fresh = False
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                if fresh or not isinstance(error, ConnectionError):
                    self.failures.append(error)
                fresh = True
            if not keep:
                connection.close()
                fresh = True
        connection.close()
