"""What happens at random during a soak: what people do, and what goes wrong."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.e2e.apps import ECHO
from tests.e2e.harness import Checkout, Instance, docker

KEYS = ("COLOUR", "SHAPE", "SIZE")
EXTRA = "extra.example"


@dataclass
class Soak:
    """A running instance and what was pushed to it."""

    instance: Instance
    folder: Path
    random: Random
    checkouts: dict[str, Checkout] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """What an app answers by the commit it was built from."""
    stands: dict[str, str] = field(default_factory=dict)
    """The commit of each app's last push that was acknowledged."""
    made: int = 0

    def some_app(self) -> str:
        """An app that was pushed."""
        return self.random.choice(sorted(self.checkouts))

    def commit(self, app: str) -> str:
        """Commit an app that answers with a text that no app has answered yet; returns the commit."""
        self.made += 1
        text = f"text {self.made}"
        self.checkouts[app].write("app.py", ECHO["app.py"].replace('"one"', f'"{text}"'))
        commit = self.checkouts[app].commit(text)
        self.texts[commit] = text
        return commit


Act = Callable[[Soak], None]


def create(soak: Soak) -> None:
    """Push a new app."""
    name = f"soak-{os.urandom(3).hex()}"
    soak.checkouts[name] = Checkout.of(ECHO, soak.folder / name, soak.instance)
    _push(soak, name)


def push(soak: Soak) -> None:
    """Push another commit."""
    _push(soak, soak.some_app())


def push_what_does_not_start(soak: Soak) -> None:
    """Push a commit whose process ends at once, and take it back in the checkout."""
    name = soak.some_app()
    checkout = soak.checkouts[name]
    checkout.write("app.py", "raise SystemExit('no')")
    checkout.commit("bad")
    checkout.push(name, check=False)
    checkout.git("reset", "-q", "--hard", "HEAD~1")


def leave_a_push(soak: Soak) -> None:
    """Push, and kill git before it is over."""
    name = soak.some_app()
    soak.commit(name)
    with soak.instance.running(["git", "push", soak.instance.url(name), "main"], cwd=soak.checkouts[name].path):
        time.sleep(soak.random.random())


def configure(soak: Soak) -> None:
    """Set a variable."""
    _command(soak, "config:set", soak.some_app(), f"{soak.random.choice(KEYS)}={soak.made}-{os.urandom(2).hex()}")


def unset(soak: Soak) -> None:
    """Unset a variable."""
    _command(soak, "config:unset", soak.some_app(), soak.random.choice(KEYS))


def scale(soak: Soak) -> None:
    """Scale web and worker."""
    web, worker = soak.random.randint(0, 2), soak.random.randint(0, 1)
    _command(soak, "ps:scale", soak.some_app(), f"web={web}", f"worker={worker}")


def change_domains(soak: Soak) -> None:
    """Add a domain, or take it away."""
    name = soak.some_app()
    _command(soak, soak.random.choice(("domains:add", "domains:remove")), name, f"{name}.{EXTRA}")


def destroy(soak: Soak) -> None:
    """Destroy an app, unless it is one of the last three."""
    if len(soak.checkouts) <= 3:
        return
    name = soak.some_app()
    del soak.checkouts[name]
    soak.stands.pop(name, None)
    _command(soak, "apps:destroy", name, "--force")


def have_back(soak: Soak) -> None:
    """Destroy an app, whatever is under way, and undo that."""
    name = soak.some_app()
    _command(soak, "apps:destroy", name, "--force")
    ends = [event["position"] for event in soak.instance.events(name) if event["type"] == "app.destroyed"]
    _command(soak, "log:undo", str(ends[-1]))


def kill_a_container(soak: Soak) -> None:
    """SIGKILL a container of an app."""
    if there := soak.instance.containers("status=running"):
        with suppress(subprocess.CalledProcessError):  # it went by itself
            docker("kill", soak.random.choice(there)["Id"])


def restart(soak: Soak) -> None:
    """Stop the platform and start it."""
    soak.instance.down()
    soak.instance.up()


def kill_amid(act: Act) -> Act:
    """Do something else, and SIGKILL the platform meanwhile; then start it."""

    def killing(soak: Soak) -> None:
        delay, beside = soak.random.random() * 1.5, threading.Thread(target=act, args=(soak,))
        beside.start()
        time.sleep(delay)
        soak.instance.kill()
        beside.join()
        soak.instance.up()

    killing.__name__ = f"kill_amid_{act.__name__}"
    return killing


def _push(soak: Soak, app: str) -> None:
    commit = soak.commit(app)
    if soak.checkouts[app].push(app, check=False).returncode == 0:
        soak.stands[app] = commit


def _command(soak: Soak, *words: str) -> None:
    """Run a command over SSH, be it that it is refused or cut off; ssh itself must have understood the line."""
    done = soak.instance.ssh(*words, check=False)
    assert "usage: ssh" not in done.stderr, words


USUAL: dict[Act, int] = {
    push: 6,
    configure: 4,
    unset: 1,
    scale: 3,
    change_domains: 2,
    create: 1,
    destroy: 1,
    have_back: 2,
    push_what_does_not_start: 1,
    leave_a_push: 2,
    kill_a_container: 2,
}
"""What happens while the platform runs, and how often."""
VIOLENT: dict[Act, int] = {restart: 1, **{kill_amid(act): 1 for act in (push, configure, scale, destroy, create)}}
"""What also happens in the first part, by whose end the platform must have forgotten nothing."""
