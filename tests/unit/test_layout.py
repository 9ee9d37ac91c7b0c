"""The shape of the project: what lies where, who may import whom, what the wheel carries."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mta.config.load import shipped

PROJECT = Path(__file__).parents[2]
TOP = {"pyproject.toml", "README.md", "LICENSE", "mta", "conf", "systemd", "tests", "loadtest"}
DOTFILES = {".ci", ".gitignore", ".pre-commit-config.yaml"}
MOST_LINES = 450
MODULES = sorted((*(PROJECT / "mta").rglob("*.py"), *(PROJECT / "loadtest").rglob("*.py")))


def project_table() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def tracked() -> list[str]:
    # The checkout may belong to another user than the one who tests.
    command = ["git", "-c", f"safe.directory={PROJECT}", "ls-files", "-z"]
    try:
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("NOT TESTED: git is not installed")
    if done.returncode:
        pytest.skip(f"NOT TESTED: this is no git checkout ({done.stderr.strip()})")
    return [name for name in done.stdout.split("\0") if name]


def test_nothing_else_lies_at_the_top() -> None:
    """What is tracked at the top level is what the layout allows."""
    found = {name.partition("/")[0] for name in tracked()}
    assert found <= TOP | DOTFILES


def test_all_of_the_top_is_there() -> None:
    """Each part of the layout exists."""
    assert {name for name in TOP | DOTFILES if not (PROJECT / name).exists()} == set()


def test_imports_go_down() -> None:
    """import-linter finds each contract kept: layers, pure modules, NATS behind one border."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    contracts = project_table()["tool"]["importlinter"]["contracts"]
    assert f"Contracts: {len(contracts)} kept, 0 broken." in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_the_wheel_is_the_package_with_its_configuration() -> None:
    """`conf/` goes into the wheel as `mta/_conf`, where the installed program looks for it; tests do not."""
    wheel = project_table()["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["mta"], "force-include": {"conf": "mta/_conf"}}
    assert (PROJECT / "mta" / "py.typed").exists()


@pytest.mark.parametrize("name", ["mta.toml", "shaping.toml", "bounces.toml", "demo/recipients.csv"])
def test_shipped_files_are_found(name: str) -> None:
    """What the program asks for by name is there, installed or in the source tree."""
    assert shipped(name).is_file()


def test_the_program_has_a_name() -> None:
    """`mta` on the command line is `mta.cli.main`."""
    assert project_table()["project"]["scripts"] == {"mta": "mta.cli:main"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    """Each has a docstring and the measure of one room; an `__init__` is empty."""
    text = path.read_text()
    if path.name == "__init__.py":
        assert text == ""
    else:
        assert ast.get_docstring(ast.parse(text))
        assert len(text.splitlines()) <= MOST_LINES


def test_every_directory_of_tests_is_a_package() -> None:
    """Else two test modules of the same name collide."""
    directories = {path.parent for path in (PROJECT / "tests").rglob("*.py")}
    assert {str(one) for one in directories if not (one / "__init__.py").exists()} == set()
