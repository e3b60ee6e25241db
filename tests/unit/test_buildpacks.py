"""Which buildpack takes a tree, what it installs, and what its dependencies are made from."""

import pytest

from builder import buildpacks
from builder.buildpacks.python import UV, dependencies
from builder.errors import BuildRefused
from tests.unit.trees import link, read_tree

PROJECT = '[project]\nname = "x"\nversion = "1"\n'
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\n'


@pytest.fixture
def ask(tmp_path):
    return lambda tree: dependencies(read_tree(tmp_path / "source.tar", tree), "3.11")


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml", "uv.lock"])
def test_each_python_manifest_makes_a_python_app(name):
    assert buildpacks.detect({"Procfile", name}).name == "Python"


@pytest.mark.parametrize("name", ["null", ".null"])
def test_a_null_file_wins_over_everything_and_installs_nothing(tmp_path, name):
    buildpack = buildpacks.detect({name, "requirements.txt"})
    assert buildpack.name == "Null"
    source = read_tree(tmp_path / "source.tar", {name: "", "requirements.txt": "flask"})
    assert buildpack.dependencies(source, "3.11") is None


def test_a_tree_that_no_buildpack_takes_is_refused_with_what_one_would():
    with pytest.raises(BuildRefused, match=r"requirements\.txt, pyproject\.toml or uv\.lock .* a file \.null"):
        buildpacks.detect({"Procfile", "package.json"})


@pytest.mark.parametrize(
    "tree",
    [
        {"requirements.txt": ""},
        {"requirements.txt": "# nothing\n\n  # at all\n--index-url https://x/simple\n"},
        {"requirements.txt": "-r more.txt", "more.txt": "# nothing"},
        {"pyproject.toml": "[tool.ruff]\nline-length = 100\n"},
        {"pyproject.toml": PROJECT + "dependencies = []\n"},
        {"pyproject.toml": PROJECT, "uv.lock": '[[package]]\nname = "x"\nsource = { virtual = "." }\n'},
    ],
)
def test_an_app_that_asks_for_nothing_gets_nothing_installed(ask, tree):
    assert ask(tree) is None


def test_the_lock_goes_before_the_list_and_the_list_before_the_project(ask):
    tree = {"pyproject.toml": PROJECT + 'dependencies = ["flask"]\n'}
    assert ask(tree).command == (UV, "pip", "install", "-r", "pyproject.toml")
    tree["requirements.txt"] = "flask"
    assert ask(tree).command == (UV, "pip", "install", "-r", "requirements.txt")
    tree["uv.lock"] = '[[package]]\nname = "flask"\nsource = { registry = "https://pypi.org/simple" }\n'
    assert ask(tree).command == (UV, "sync", "--locked", "--no-dev")


PACKAGES = r"""
Flask
gunicorn >= 23  # a comment
psycopg[binary, pool]~=3.2 ; python_version >= "3.9"
uvicorn[standard]==0.30 \
    --hash=sha256:aa \
    --hash=sha256:bb
zope.interface (>=5)
thing @ git+https://example.org/thing.git@v1#egg=thing
wheel @ https://example.org/wheel-1.0-py3-none-any.whl
git+ssh://git@example.org/other.git
--extra-index-url https://user:${TOKEN}@example.org/simple
--pre
"""


def test_requirements_of_packages_alone_are_made_from_their_file_and_from_what_uv_reads_by_itself(ask):
    assert ask({"requirements.txt": PACKAGES, "app.py": ""}).files == {"requirements.txt"}
    tree = {"requirements.txt": "flask", "uv.toml": "", ".netrc": "", "pyproject.toml": "", "app.py": ""}
    assert ask(tree).files == {"requirements.txt", "uv.toml", ".netrc", "pyproject.toml"}


def test_included_requirements_and_constraints_count_too_wherever_they_stand(ask):
    tree = {
        "requirements.txt": "-r requirements/base.txt\n--constraint=limits.txt\n",
        "requirements/base.txt": "-rmore.txt\n-c '../limits.txt'\nflask\n",
        "requirements/more.txt": "-r ../requirements.txt\n",
        "limits.txt": "werkzeug<4\n",
        "app.py": "",
    }
    assert ask(tree).files == set(tree) - {"app.py"}


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "--editable=./vendor",
        ".",
        "./vendor",
        "vendor/thing",
        "thing-1.0.tar.gz",
        "thing-1.0-py3-none-any.whl",
        "thing @ file:///app/vendor/thing",
        "thing@./vendor",
        "--find-links wheels",
        "--index-url file:///app/simple",
        "-r not-there.txt",
        "-r ../outside.txt",
        "-r /etc/hosts",
        "-r https://example.org/requirements.txt",
        "-r folder",
        "${WHERE}",
        "--unheard-of",
    ],
)
def test_requirements_that_may_refer_to_the_tree_are_made_from_all_of_it(ask, line):
    needed = ask({"requirements.txt": f"flask\n{line}\n", "folder/x": "", "app.py": ""})
    assert needed is not None
    assert needed.files is None


def test_a_project_that_is_built_is_installed_from_the_whole_tree(ask):
    for text in (PROJECT + SETUPTOOLS, PROJECT + 'dynamic = ["dependencies"]\n'):
        needed = ask({"pyproject.toml": text})
        assert (needed.command, needed.files) == ((UV, "pip", "install", "."), None)


@pytest.mark.parametrize(
    ("more", "files"),
    [
        ('dependencies = ["flask>=3"]\n', {"pyproject.toml"}),
        ('dependencies = ["flask>=3"]\n[tool.uv]\npackage = false\n', {"pyproject.toml"}),
        ('dependencies = ["x @ file:///app/x"]\n', None),
        ('dependencies = ["x"]\n[tool.uv.sources]\nx = { path = "x" }\n', None),
        ('dependencies = ["x"]\n[tool.uv]\nfind-links = ["wheels"]\n', None),
    ],
)
def test_a_projects_dependencies_are_made_from_its_file_unless_they_may_refer_to_the_tree(ask, more, files):
    assert ask({"pyproject.toml": PROJECT + more, "app.py": ""}).files == files


@pytest.mark.parametrize(
    ("origin", "files"),
    [
        ('registry = "https://pypi.org/simple"', {"pyproject.toml", "uv.lock"}),
        ('git = "https://example.org/x?rev=1"', {"pyproject.toml", "uv.lock"}),
        ('editable = "."', None),
        ('directory = "vendor"', None),
        ('path = "x.whl"', None),
        ('virtual = "member"', None),
    ],
)
def test_a_lock_is_made_from_its_files_unless_a_package_is_in_the_tree(ask, origin, files):
    lock = f'[[package]]\nname = "y"\nsource = {{ virtual = "." }}\n[[package]]\nname = "x"\nsource = {{ {origin} }}\n'
    assert ask({"pyproject.toml": PROJECT, "uv.lock": lock, "app.py": ""}).files == files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".python-version", "3.12\n"),
        (".python-version", "2\n"),
        (".python-version", "pypy3.11\n"),
        ("runtime.txt", "python-3.8.10\n"),
        ("pyproject.toml", PROJECT + 'requires-python = ">=3.12"\n'),
        ("pyproject.toml", PROJECT + 'requires-python = "<3.11"\n'),
    ],
)
def test_another_python_than_the_stacks_is_refused_naming_what_there_is(ask, name, text):
    with pytest.raises(BuildRefused, match=rf"^{name}: .*; allowed is 3\.11$"):
        ask({"requirements.txt": "", name: text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".python-version", "# ours\n3.11\n"),
        (".python-version", "3\n"),
        (".python-version", "cpython@3.11.9\n"),
        (".python-version", ""),
        ("runtime.txt", "python-3.11.9\n"),
        ("pyproject.toml", PROJECT + 'requires-python = ">=3.9,<4"\n'),
        ("pyproject.toml", PROJECT + 'requires-python = "~=3.11.4"\n'),
    ],
)
def test_any_patch_release_of_the_stacks_python_is_taken(ask, name, text):
    assert ask({"requirements.txt": "", name: text}) is None


@pytest.mark.parametrize(
    "tree",
    [
        {"pyproject.toml": "["},
        {"pyproject.toml": "project = 3"},
        {"pyproject.toml": "[tool]\nuv = 3\n[project]\ndependencies = ['x']"},
        {"pyproject.toml": PROJECT + "requires-python = 3\n"},
        {"pyproject.toml": PROJECT + 'requires-python = "three"\n'},
        {"pyproject.toml": link("other.toml")},
        {"pyproject.toml": b"\xff"},
        {"pyproject.toml": PROJECT + "dependencies = 3\n"},
        {"pyproject.toml": PROJECT + "dependencies = 'flask'\n"},
        {"pyproject.toml": PROJECT + "dependencies = [3]\n"},
        {"pyproject.toml": PROJECT + "dynamic = 3\n"},
        {"uv.lock": "package = 3"},
        {"requirements.txt": "flask".encode("utf-16")},
        {"requirements.txt": link("/etc/passwd")},
        {"requirements.txt/x": ""},
        {"requirements.txt": "", ".python-version": link("x")},
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused_by_its_name(ask, tree):
    with pytest.raises(BuildRefused, match=r"^(pyproject\.toml|uv\.lock|requirements\.txt|\.python-version): "):
        ask(tree)


@pytest.mark.parametrize("lock", ["package = ['x']", "[[package]]\nname = 'x'", "[[package]]\nsource = 'x'"])
def test_a_lock_of_another_shape_is_left_to_uv_to_refuse(ask, lock):
    assert ask({"pyproject.toml": PROJECT, "uv.lock": lock}).files is None
