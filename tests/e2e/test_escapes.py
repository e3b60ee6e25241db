"""What an app's code prints reaches terminals as text and colours, and passes for nothing that the platform says."""

import subprocess
from collections.abc import Callable

from tests.e2e.apps import SLOW
from tests.e2e.harness import Checkout, Instance, wait_for

Checkouts = Callable[..., Checkout]

PRINTED = (
    "\x1b[32mgreen\x1b[0m \x1b]0;title\x07 \x1b]52;c;aGFybWxlc3M=\x07 \x1b[2Jcleared \u009b1mwide\u202e end\n"
    "\x1b[31mleft red\n"
    "bar 10%\rbar 20%\r=====> Application deployed:\n"
    "line\x0b=====> feed\x85=====> next\u2028=====> separated\n"
)
SHOWN = r"""\x1b]0;title\x07 \x1b]52;c;aGFybWxlc3M=\x07 \x1b[2Jcleared \u009b1mwide\u202e end"""
FORBIDDEN = ("\x1b]", "\x1b[2J", "\x07", "\u009b", "\u202e", "\x0b", "\x85", "\u2028")
FAILS = {
    ".null": "",
    "Procfile": "web: python3 -u app.py\n",
    "app.py": f"import sys; sys.stdout.reconfigure(encoding='utf-8'); print({PRINTED!r}, end=''); sys.exit(3)\n",
}


def output(argv: list[str], instance: Instance) -> str:
    done = subprocess.run(
        argv, env=instance.environment, stdin=subprocess.DEVNULL, stdout=-1, stderr=-1, timeout=60, check=False
    )
    return (done.stdout + done.stderr).decode()


def pushed(source: Checkout, app: str) -> str:
    argv = ["git", "-C", str(source.path), "push", source.instance.url(app), "main"]
    return output(argv, source.instance)


def check(said: str) -> None:
    """Nothing that a terminal acts on is in it but colours, and the platform says nothing of a success."""
    assert SHOWN in said, ascii(said)
    assert "\x1b[32mgreen\x1b[0m" in said
    assert "left red\x1b[0m" in said
    assert not [found for found in FORBIDDEN if found in said]
    assert not [line for line in said.splitlines() if line.removeprefix("remote: ").startswith("=====> ")]


# uv takes escapes out of what a package's own build prints, so this one writes past uv
def test_a_build_prints_colours_and_no_titles_whoever_looks_at_it(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    backend = (
        f"import os\nopen(f'/proc/{{os.getppid()}}/fd/2', 'wb').write({PRINTED.encode()!r})\nraise SystemExit(1)\n"
    )
    source = checkout(shared, {**SLOW, "slow/backend.py": backend})
    check(pushed(source, app))

    check(output(shared.ssh_argv("builds:output", app), shared))
    check(output(shared.ssh_argv("-tt", "builds:output", app), shared))


def test_an_app_that_fails_prints_colours_and_no_titles_and_its_logs_are_exact_in_a_file(
    shared: Instance, checkout: Checkouts, app: str
) -> None:
    said = pushed(checkout(shared, FAILS), app)
    check(said)
    assert "was not deployed" in said

    wait_for(lambda: "left red" in shared.pushlog("logs", app).stdout, "the kept log")
    assert shared.pushlog("--quiet", "logs", app).stdout.startswith(PRINTED[:80])
    for flags in ([], ["-tt"]):
        seen = output(shared.ssh_argv(*flags, "logs", app), shared)
        check(seen)
        assert r"bar 10%\rbar 20%\r=====>" in seen
