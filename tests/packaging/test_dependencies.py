"""What the code imports is declared: by each pyproject, for its own package and its extras."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]

#: Project -> where its code lies, scripts included.
CODE = {
    ROOT: [ROOT / "src", ROOT / "workflow/scripts", ROOT / "tools"],
    **{file.parent: [file.parent / "src"] for file in ROOT.glob("packages/*/pyproject.toml")},
}

#: Distributions whose names say nothing of the modules in them, as far as these are not installed.
_NOT_INSTALLED = {"vllm": {"vllm"}}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Top-level modules that a folder's files import anywhere, and the file."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names = [node.module]
            else:
                continue
            for name in names:
                yield name.partition(".")[0], str(file.relative_to(ROOT))


def ours() -> set[str]:
    """Names of first-party packages."""
    roots = [folder for folders in CODE.values() for folder in folders]
    return {path.stem for root in roots for path in root.iterdir() if path.name[0] not in "._"}


def declared(project: Path) -> set[str]:
    """Normalised names of all distributions that a project asks for, extras included."""
    table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = table.get("optional-dependencies", {})
    lines = [*table.get("dependencies", []), *(line for some in extras.values() for line in some)]
    return {canonicalize_name(Requirement(line).name) for line in lines}


@pytest.mark.parametrize("project", CODE, ids=lambda path: path.name)
def test_what_is_imported_is_declared(project: Path) -> None:
    owners = packages_distributions()
    wanted = declared(project)
    known = {name for some in _NOT_INSTALLED.values() for name in some} & wanted
    known |= {
        module for module, names in owners.items() if set(map(canonicalize_name, names)) & wanted
    }
    missing = {
        f"{file}: {module}"
        for folder in CODE[project]
        for module, file in imported(folder)
        if module not in sys.stdlib_module_names | known | ours()
    }
    assert not missing, "\n".join(sorted(missing))


def test_the_lock_pins_every_dependency() -> None:
    lines = (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").split()
    locked = {canonicalize_name(re.split("==", line)[0]) for line in lines}
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {canonicalize_name(Requirement(line).name) for line in table["dependencies"]}
    assert needed <= locked
