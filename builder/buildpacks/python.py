"""Python apps: uv installs what uv.lock, requirements.txt or pyproject.toml (asked in this order) names.

Everything goes into the virtual environment that the stack holds at /opt/venv, outside of /app, so that the next
push's sources replace the last one's and leave the dependencies alone.
"""

import re
import tomllib
from collections.abc import Collection
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from builder.buildpacks import requirements
from builder.buildpacks.base import Buildpack, Dependencies
from builder.errors import BuildRefused
from builder.source import Source
from services.names import shown

UV = "/usr/local/bin/uv"  # not by PATH, which an app's config may set
MANIFESTS = ("uv.lock", "requirements.txt", "pyproject.toml")
UV_READS = frozenset({"pyproject.toml", "uv.toml", ".netrc"})
"""What uv reads by itself wherever it runs, beside the manifest that it is given."""

TREELESS_SETTINGS = frozenset({"constraint-dependencies", "default-groups", "dev-dependencies", "exclude-newer"}) | {
    "override-dependencies", "package", "prerelease", "required-version", "resolution"
}  # fmt: skip
"""The settings in [tool.uv] that cannot name a path in the tree."""


def detect(names: Collection[str]) -> bool:
    """Whether one of the manifests is among `names`."""
    return any(name in names for name in MANIFESTS)


def dependencies(source: Source, version: str) -> Dependencies | None:
    """How the tree's dependencies are installed on the stack's Python `version`, such as `3.11`.

    Raises BuildRefused for a manifest that cannot be read and for a tree that asks for another Python.
    """
    project = _toml(source, "pyproject.toml")
    _check_version(source, project, version)
    if "uv.lock" in source.names:
        return _locked(source, project)
    if "requirements.txt" in source.names:
        return _listed(source, project)
    return _declared(source, project)


def _locked(source: Source, project: dict[str, Any]) -> Dependencies | None:
    packages = _toml(source, "uv.lock").get("package", [])
    if not isinstance(packages, list):
        raise BuildRefused("uv.lock: package is not a list; allowed is what `uv lock` writes")
    origins = [package.get("source") if isinstance(package, dict) else None for package in packages]
    if all(origin == {"virtual": "."} for origin in origins):
        return None
    local = any(not {"registry", "git", "url"} & set(origin or ()) and origin != {"virtual": "."} for origin in origins)
    files = None if local or _needs_tree(source, project) else frozenset({"uv.lock"})
    return _install(source, files, "sync", "--locked", "--no-dev")


def _listed(source: Source, project: dict[str, Any]) -> Dependencies | None:
    required = requirements.read(source, "requirements.txt")
    if required.empty:
        return None
    files = None if _settings_need_tree(source, project) else required.files
    return _install(source, files, "pip", "install", "-r", "requirements.txt")


def _declared(source: Source, project: dict[str, Any]) -> Dependencies | None:
    table = _table(project, "project")
    required = _strings(table, "dependencies")
    if "build-system" in project or "dependencies" in _strings(table, "dynamic"):
        return _install(source, None, "pip", "install", ".")
    if not required:
        return None
    local = not all(map(requirements.is_package, required))
    files = None if local or _needs_tree(source, project) else frozenset({"pyproject.toml"})
    return _install(source, files, "pip", "install", "-r", "pyproject.toml")


def _install(source: Source, files: frozenset[str] | None, *argv: str) -> Dependencies:
    return Dependencies((UV, *argv), None if files is None else files | (UV_READS & source.names))


def _needs_tree(source: Source, project: dict[str, Any]) -> bool:
    return "build-system" in project or _settings_need_tree(source, project)


def _settings_need_tree(source: Source, project: dict[str, Any]) -> bool:
    """Whether uv's settings may name something in the tree: sources by path, workspaces, folders of wheels, …"""
    settings = {**_table(_table(project, "tool"), "uv"), **_toml(source, "uv.toml")}
    return not settings.keys() <= TREELESS_SETTINGS


def _toml(source: Source, name: str) -> dict[str, Any]:
    """The tables of a TOML file of the tree; none when it is not there."""
    if name not in source.names:
        return {}
    try:
        return tomllib.loads(requirements.read_text(source, name))
    except tomllib.TOMLDecodeError as error:
        raise BuildRefused(f"{name}: {error}; allowed is TOML") from None


def _table(parent: dict[str, Any], name: str) -> dict[str, Any]:
    table = parent.get(name, {})
    if not isinstance(table, dict):
        raise BuildRefused(f"pyproject.toml: {name} is not a table; allowed is [{name}] with keys below it")
    return table


def _strings(table: dict[str, Any], name: str) -> list[str]:
    found = table.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise BuildRefused(f'pyproject.toml: {name} is not a list of texts; allowed is {name} = ["…"]')
    return found


def _check_version(source: Source, project: dict[str, Any], version: str) -> None:
    """Raise BuildRefused when the tree asks for a Python of another minor version than the stack's."""
    for name in (".python-version", "runtime.txt"):
        wanted = _first_line(source, name)
        if wanted is not None and not _names_version(wanted, version):
            raise BuildRefused(f"{name}: {shown(wanted)} is not in the stack; allowed is {version}")
    wanted = _table(project, "project").get("requires-python", "")
    try:
        specifiers = SpecifierSet(wanted)
    except (InvalidSpecifier, TypeError):
        raise BuildRefused(f"pyproject.toml: requires-python {shown(str(wanted))} is not a version range") from None
    if not any(specifiers.contains(f"{version}.{patch}") for patch in range(64)):
        raise BuildRefused(
            f"pyproject.toml: requires-python {shown(wanted)} fits nothing in the stack; allowed is {version}"
        )


def _first_line(source: Source, name: str) -> str | None:
    if name not in source.names:
        return None
    lines = (line.strip() for line in requirements.read_text(source, name).splitlines())
    return next((line for line in lines if line and not line.startswith("#")), None)


def _names_version(wanted: str, version: str) -> bool:
    """Whether `3`, `3.11`, `3.11.9`, `python-3.11.9` or `cpython@3.11` is the stack's Python; any patch release is."""
    found = re.fullmatch(r"(?:c?python[-@]?)?(\d+)(?:\.(\d+))?(?:\.\d+)?", wanted)
    major, minor = version.split(".")
    return found is not None and found[1] == major and found[2] in (None, minor)


PYTHON = Buildpack(
    name="Python",
    version=1,
    detect=detect,
    dependencies=dependencies,
    environment={
        "UV_CACHE_DIR": "/cache/uv",
        "UV_COMPILE_BYTECODE": "1",  # once here instead of at every start of a container
        "UV_LINK_MODE": "copy",  # the cache is another file system than the image
        "UV_NO_PROGRESS": "1",
        "UV_PROJECT_ENVIRONMENT": "/opt/venv",
        "UV_PYTHON": "/opt/venv/bin/python",
        "UV_PYTHON_DOWNLOADS": "never",
        "VIRTUAL_ENV": "/opt/venv",
    },
)
