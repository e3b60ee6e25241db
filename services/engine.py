"""The way to the Docker Engine: one kind of client, its deadlines, and what it means when nothing answers.

What Docker itself answers, its refusals too, is translated where it was asked: builder and deployer differ in what a
refusal means to them.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException
from docker.transport import UnixHTTPAdapter
from docker.utils import kwargs_from_env

from services.errors import Unavailable

VERSION = "1.41"
ASK, ADD_UP, CHANGE, WORK = 7.0, 4.0, 30.0, 600.0
"""Seconds without a sign of Docker: for a question, so that a command's asker hears within 10 s; for the sizes of all
that it has, which are worth no longer wait; for a change of a container; and for what moves or counts an app's files,
which may be gigabytes."""
BASE = "http+docker://localhost"
AT_ONCE = 64
"""How many connections are kept for the next time; there are as many as were ever in use at once."""


class NoAnswer(Unavailable):
    """Docker is not there, hangs, or hung up: nothing else that is asked of it will be answered either."""


class Socket(UnixHTTPAdapter):
    """The way to a local socket. The library keeps an open connection for each URL it asked last; here they are one's
    that is free.
    """

    def get_connection(self, url: str | bytes, proxies: Mapping[str, str] | None = None) -> Any:
        """See UnixHTTPAdapter: what is asked plays no part."""
        return super().get_connection(BASE, proxies)


class Api(docker.APIClient):
    """Docker's API with a deadline by what is asked, unless a call gives one of its own."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        if isinstance(local := self.get_adapter(self.base_url), UnixHTTPAdapter):
            self.mount("http+docker://", Socket(local.socket_path, self.timeout, max_pool_size=AT_ONCE))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """See requests.Session.send."""
        if kwargs.get("timeout") == self.timeout:
            kwargs["timeout"] = deadline(request.method or "", request.path_url)
        return super().send(request, **kwargs)


def deadline(method: str, path: str) -> float:
    """How many seconds a request may wait for Docker's next sign."""
    if path.partition("?")[0].endswith(("/archive", "/commit")) or "size=1" in path:
        return WORK
    if path.endswith("/system/df"):
        return ADD_UP
    return ASK if method == "GET" else CHANGE


def connect() -> docker.DockerClient:
    """A client of the engine that DOCKER_HOST names, else of the local socket; it connects when first used."""
    client = docker.DockerClient.from_env(version=VERSION)
    client.api = Api(**kwargs_from_env(), version=VERSION)
    return client


@contextmanager
def answering() -> Iterator[None]:
    """Raise NoAnswer for what the connection to Docker raises; what Docker refuses passes as APIError."""
    try:
        yield
    except APIError:
        raise
    except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise NoAnswer(f"Docker does not answer{_why(error)}") from error


def _why(error: BaseException) -> str:
    root = error
    while root.__context__:
        root = root.__context__
    if isinstance(root, TimeoutError):
        return " in time"
    if not isinstance(root, OSError):
        return f": {error}"
    return f": {os.strerror(root.errno) if root.errno else root}"  # eventlet's own words are the number's name
