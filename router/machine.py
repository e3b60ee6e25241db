"""What nginx's configuration depends on besides routes and settings: the machine it runs on."""

import grp
import os
import pwd
import resource
import socket
from contextlib import suppress
from dataclasses import dataclass

from router.front import stream_module

MOST_FILES = 65536


@dataclass(frozen=True)
class Machine:
    """`user` is `name group` of nginx's workers (empty: that of the master), `ipv6` whether the machine has it,
    `files` how many files a worker may have open, `stream` what `front.stream_module` says. `socket` is whether the
    http module listens at the front's socket, which old workers need until a front has given way.
    """

    user: str = ""
    ipv6: bool = False
    files: int = 1024
    stream: str | None = None
    socket: bool = False

    @property
    def group(self) -> int | None:
        """The group of nginx's workers, when it is another than the master's."""
        return grp.getgrnam(self.user.split()[1]).gr_gid if self.user else None


def here(nginx: str) -> Machine:
    """This machine, where `nginx` is the program. Only root can give the workers another user."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = MOST_FILES if limit == resource.RLIM_INFINITY else min(limit, MOST_FILES)
    user = _worker_user() if os.geteuid() == 0 else ""
    stream = stream_module(nginx)
    return Machine(user=user, ipv6=_has_ipv6(), files=files, stream=stream, socket=stream is not None)


def _worker_user() -> str:
    for name in ("www-data", "nginx", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return f"{name} {grp.getgrgid(user.pw_gid).gr_name}"
    return ""


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
