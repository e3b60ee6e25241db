"""The rules that keep the house readable, held against the code itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("services", "gitreceiver", "builder", "configsvc", "deployer", "router", "cli")
MODULES = sorted(path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

KNOW_NAMEKO = {
    "gitreceiver/ssh/door.py",
    "gitreceiver/ssh/green.py",
    "gitreceiver/ssh/wire.py",
    "services/bells.py",
    "services/consumers.py",
    "services/bus.py",
    "services/ending.py",
    "services/healthz.py",
    "services/hops.py",
    "services/offloop.py",
    "services/post.py",
    "services/process.py",
    "services/serving.py",
}
"""Beside each service.py: the modules that may import nameko and eventlet."""

SHELLS = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
    "commands.getoutput",
    "pty.spawn",
}

MODULE_LINES, FUNCTION_LINES = 250, 40
REASONS: dict[str, str] = {
    "services/events.py": "the catalogue is one table",
    "services/settings.py": "the settings are one table",
}
"""What is longer than that, `path` or `path:function`, and why it is."""


def tree(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(), str(module))


def dotted(node: ast.expr) -> str:
    """`os.system` for the expression os.system; "" for what is not a dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and dotted(node.value):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def calls_of_a_shell(module: Path) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if not isinstance(node, ast.Call):
            continue
        shell = any(k.arg == "shell" and getattr(k.value, "value", None) is not False for k in node.keywords)
        if shell or dotted(node.func) in SHELLS:
            yield f"{module}:{node.lineno}"


def imported(module: Path) -> set[str]:
    """The top-level packages that a module imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def too_long(module: Path) -> Iterator[tuple[str, int]]:
    """Each module and function beyond its bound, with its lines; a docstring is not counted for a function."""
    lines = len((ROOT / module).read_text().splitlines())
    if lines > MODULE_LINES:
        yield str(module), lines
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            lines = (node.end_lineno or 0) - first.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{module}:{node.name}", lines


def test_nothing_in_the_product_calls_a_shell_or_evaluates_text():
    assert [place for module in MODULES for place in calls_of_a_shell(module)] == []


def test_only_the_named_modules_know_nameko_and_eventlet():
    knowing = {str(module) for module in MODULES if imported(module) & {"nameko", "eventlet"}}
    assert {path for path in knowing if not path.endswith("/service.py")} <= KNOW_NAMEKO


def test_what_is_long_says_why():
    long = dict(item for module in MODULES for item in too_long(module))
    assert {place: lines for place, lines in long.items() if place not in REASONS} == {}
    assert set(REASONS) <= set(long), "a reason for what is no longer long"


IMPORTING = """
import importlib, sys, threading

now = ""

def refuse(event, arguments):
    if now and event in {"socket.connect", "socket.bind", "socket.getaddrinfo", "sqlite3.connect", "os.system"}:
        raise RuntimeError(f"importing {now} does {event} {arguments!r}")

sys.addaudithook(refuse)
for now in sys.argv[1:]:
    importlib.import_module(now)
    started = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    assert not started, f"importing {now} starts {started}"
"""


def test_importing_a_module_opens_no_connection_and_starts_no_thread():
    modules = [".".join(module.with_suffix("").parts).removesuffix(".__init__") for module in MODULES]
    done = subprocess.run([sys.executable, "-c", IMPORTING, *modules], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
