"""How commands that read much are used to attack: many at once follow an app that prints without end."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.attacks.neighbour import Neighbour
from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout

SECONDS = 60
PRINTS = f"""
import threading, time
def prints(until=time.monotonic() + {SECONDS}):
    while time.monotonic() < until:
        print("x\\n" * 500)
        time.sleep(0.05)
threading.Thread(target=prints, daemon=True).start()
"""


@contextmanager
def followers(user: Neighbour, number: int) -> Iterator[None]:
    """Have an app print 10,000 lines a second, and follow it so many times."""
    files = {**ECHO, "app.py": PRINTS + ECHO["app.py"]}
    checkout = Checkout.of(files, user.key.parent / "prints", user.instance)
    with user.place.inside(), ExitStack() as opened:
        checkout.push(user.app)
        argv = user.instance.ssh_argv("logs", "-t", "-n", "10000", user.app)
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        for _ in range(number):
            client = opened.enter_context(subprocess.Popen(argv, env=user.instance.environment, **quiet))
            opened.callback(client.kill)
        yield
