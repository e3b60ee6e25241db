"""The documentation, held against the code."""

import ast
import os
import re
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from cli.table import ALIASES, COMMANDS
from services import runner
from services.events import CATALOGUE
from services.settings import variables
from services.version import VERSION

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT) for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"))
)
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
README = (ROOT / "README.md").read_text()
EVENT = re.compile(r"\b[a-z]+\.[a-z]+\b")
ROW = re.compile(r"\| (\d) \| `([^`]+)` \| ([^|]+) \| ([^|]+) \|")
HOP = re.compile(r"Hop (\d): ([^→]+) → ([^:]+?)\. [A-Z]")
SHOWN = re.compile(
    r"(?:^ *(?:\$ )?(?:\S*/)?pushlog|`pushlog|-p 2222 pushlog@\S+|ssh_config localhost) ([a-z][a-z:-]*)", re.M
)
MENDS = re.compile(r"Mends after ([a-z.]+): ")


def loaded(path: Path) -> ModuleType:
    """The module that a script without a suffix is."""
    loader = SourceFileLoader(f"script_{path.name}", str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = sys.modules[loader.name] = module_from_spec(spec)
    loader.exec_module(module)
    return module


docs = loaded(ROOT / "script/docs")
HOPS = {hop.file: hop for hop in docs.hops()}


def text(page: Path) -> str:
    return (ROOT / page).read_text()


def first_line(file: str) -> str:
    """The first line of a module's docstring."""
    return text(Path(file)).removeprefix('"""').splitlines()[0].removesuffix('"""')


def named(words: str) -> set[str]:
    """The events of the catalogue that `words` name."""
    return {word for word in EVENT.findall(words) if word in CATALOGUE}


def headed_hops() -> dict[str, re.Match[str]]:
    """Each module whose docstring begins with a hop, by its path."""
    modules = (str(path.relative_to(ROOT)) for path in ROOT.glob("*/*.py"))
    return {file: found for file in modules if (found := HOP.match(first_line(file) + " A"))}


# What script/docs makes


@pytest.mark.parametrize("page", docs.pages())
def test_a_generated_page_is_what_script_docs_makes_of_the_code(page: str) -> None:
    assert (ROOT / page).read_text() == docs.pages()[page], "run script/docs"


def test_every_event_stands_on_its_page() -> None:
    assert {f"## {name}" for name in CATALOGUE} <= set(text(Path("docs/events.md")).splitlines())


def test_every_setting_stands_on_its_page() -> None:
    page = text(Path("docs/settings.md"))
    assert [name for name in variables() if f"| `{name}` |" not in page] == []


def test_every_command_and_its_other_names_stand_on_their_page() -> None:
    page = text(Path("docs/commands.md"))
    assert [name for name in COMMANDS if f"\n## {name}\n" not in page] == []
    assert [alias for alias in ALIASES if f"`{alias}`" not in page] == []
    assert [name for name in runner.platform.commands if f"\n### pushlog {name}\n" not in page] == []


# The path of a push


def test_every_reaction_file_is_a_hop_of_its_service_and_every_hop_has_a_file() -> None:
    files = {str(path.relative_to(ROOT)) for path in ROOT.glob("*/on_*.py")}
    assert set(HOPS) == files - {"gitreceiver/on_git_push.py"}, "only the push itself is no event"


def test_the_table_of_hops_is_that_of_the_files() -> None:
    rows = {file: (number, takes, records) for number, file, takes, records in ROW.findall(ARCHITECTURE)}
    heads = headed_hops()
    assert sorted(rows) == sorted(heads)
    for file, (number, takes, records) in rows.items():
        head = heads[file]
        assert (number, named(takes), named(records)) == (head[1], named(head[2]), named(head[3])), file


def test_what_a_hop_says_is_what_its_decorator_declares() -> None:
    heads = headed_hops()
    for file, hop in HOPS.items():
        if hop.until:
            head = heads[file]
            assert named(head[2]) == {hop.trigger}, file
            assert hop.until <= named(head[3]), file
            started = named(head[3]) - hop.until
            assert all(CATALOGUE[name].TERMINAL for name in started), (
                f"{file} records {started} and does not wait for it"
            )
        else:
            found = MENDS.match(first_line(file))
            assert found, f"{file} has no `until` and does not say what it mends after"
            assert found[1] == hop.trigger, file


def test_every_event_of_a_hop_is_of_its_services_own() -> None:
    for file, head in headed_hops().items():
        assert {CATALOGUE[name].EMITTER for name in named(head[3])} == {file.partition("/")[0]}, file


def test_every_event_has_a_handler_or_is_terminal() -> None:
    handled = {hop.trigger for hop in HOPS.values()}
    assert handled == {name for name, event in CATALOGUE.items() if not event.TERMINAL}


def test_every_event_is_made_by_the_service_that_emits_it_and_by_no_other() -> None:
    services = {path.parent.name for path in ROOT.glob("*/service.py")}
    assert {event.EMITTER for event in CATALOGUE.values()} <= services
    emitters = {event.__name__: event.EMITTER for event in CATALOGUE.values()}
    made = {(service, name) for service in services for name in names_called(service) if name in emitters}
    assert made == {(emitter, name) for name, emitter in emitters.items()}


def names_called(service: str) -> Iterator[str]:
    """Every name that the modules of a service call."""
    for path in (ROOT / service).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield node.func.id


# Links and commands


def every_link() -> Iterator[tuple[Path, str]]:
    """Every link of the pages to a file or a heading of the repository."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
            if "://" not in target:
                yield page, target


LINKS = list(every_link())


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, heading = target.partition("#")
    file = (ROOT / page.parent / path) if path else ROOT / page
    assert file.exists()
    if heading:
        assert heading in {docs.anchor(line.lstrip("# ")) for line in file.read_text().splitlines() if line[:1] == "#"}


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {target.partition("#")[0] for page, target in LINKS if page == Path("README.md")}
    assert {str(page) for page in PAGES} - {"README.md"} <= linked


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    shown = set(SHOWN.findall(text(page)))
    assert shown <= {*COMMANDS, *ALIASES, *runner.platform.commands}


@pytest.mark.parametrize("page", PAGES)
def test_every_script_that_a_page_shows_can_be_run(page: Path) -> None:
    for name in re.findall(r"(?:^ *|`)(script/\w+)", text(page), re.MULTILINE):
        assert os.access(ROOT / name, os.X_OK), name


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    folders = "script|services|gitreceiver|builder|configsvc|deployer|router|cli|examples|tests|docs"
    for name in re.findall(rf"`((?:{folders})/[\w./-]+)`", text(page)):
        assert (ROOT / name).exists(), name


def test_the_changelog_begins_with_this_version_or_what_comes_after_it() -> None:
    versions = re.findall(r"^## (\S+)", text(Path("CHANGELOG.md")), re.MULTILINE)
    assert versions[versions[0] == "Unreleased"] == VERSION
