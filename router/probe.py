"""Asking the running nginx, through its real port, what it serves and which container answered."""

import http.client
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What nginx told a probe: the id of its configuration, the release it chose, and the container that answered.

    `release` and `container` are empty when there was none: an unknown host, a stopped app, a dead container.
    """

    tree: str
    release: str
    container: str


def ask(address: tuple[str, int], host: str, token: str, timeout: float) -> Answer | None:
    """One GET of `http://<host>/` on a fresh connection to nginx at `address`; at most `timeout` seconds a step.

    None when nothing answered, or one who does not know the token. The body is not read.
    """
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.putrequest("GET", "/", skip_host=True, skip_accept_encoding=True)
        headers = {"Host": host, "User-Agent": "pushlog-probe", "Connection": "close", "X-Pushlog-Probe": token}
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        with connection.getresponse() as response:
            return _answer(response)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _answer(response: http.client.HTTPResponse) -> Answer | None:
    tree = response.getheader("X-Pushlog-Tree")
    if tree is None:
        return None
    tried, _, times = response.getheader("X-Pushlog-Upstream", "").partition("|")
    # One address and one time for each container that was tried; no time: it sent no answer, nginx made one.
    answered = times.split(", ")[-1] not in ("", "-")
    container = tried.split(", ")[-1] if answered else ""
    return Answer(tree, response.getheader("X-Pushlog-Release", ""), container)
