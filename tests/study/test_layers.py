"""Imports go down: core, artifacts, stages, config, study, resources, then what reads a study."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Where first-party packages lie.
ROOTS = sorted({*(ROOT / "src",), *(ROOT / "packages").glob("*/src"), ROOT / "tools"})

#: Packages from the lowest layer to the highest; a layer imports itself and those below it.
LAYERS = (
    {"judgebox", "snakemake_logger_plugin_mixmerge"},
    {"mixmerge.core"},
    {"mixmerge.artifacts"},
    {"mixmerge.checkpoint"},
    {
        *("mixmerge.data", "mixmerge.sft", "mixmerge.merge", "mixmerge.weights"),
        *("mixmerge.evaluate", "mixmerge.uncertainty"),
    },
    {"mixmerge.report"},
    {"mixmerge.config"},
    {"mixmerge.study"},
    {"mixmerge.resources"},
    {"mixmerge.preflight", "mixmerge.verify"},
    {"snakemake_scheduler_plugin_mixmerge"},
    {"tools"},
)

#: Libraries that anybody may install: they know nothing of mixmerge.
ALONE = {"judgebox", "snakemake_logger_plugin_mixmerge"}


def modules() -> dict[str, Path]:
    """Dotted name -> file of every first-party module."""
    found = {}
    for root in ROOTS:
        for file in root.rglob("*.py"):
            parts = file.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """First-party modules that a module imports, in functions and for types alone included."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name}: a relative import"
            named = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (module for module in named if module in MODULES and module != name)


def package(module: str) -> str:
    """The package that a module belongs to: ``mixmerge.data``, a library, or ``tools``."""
    if (ROOT / "tools") in MODULES[module].parents:
        return "tools"
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "mixmerge" else parts[0]


def layer(module: str) -> int:
    (number,) = [n for n, packages in enumerate(LAYERS) if package(module) in packages]
    return number


GRAPH = {name: set(imports(name)) for name in MODULES if name != "mixmerge"}


def test_every_package_has_a_layer() -> None:
    known = set().union(*LAYERS)
    assert {package(name) for name in GRAPH} - known == set()


def test_no_arrow_runs_up_and_libraries_stand_alone() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if layer(other) > layer(name)
        or (package(name) in ALONE and package(other) != package(name))
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_modules_and_no_packages_import_each_other() -> None:
    packages: dict[str, set[str]] = {}
    for name, others in GRAPH.items():
        packages.setdefault(package(name), set()).update(
            package(other) for other in others if package(other) != package(name)
        )
    for graph in (GRAPH, packages):
        # A package's own __init__ may gather its modules' names for users.
        edges = {
            name: {o for o in others if not name.startswith(f"{o}.")}
            for name, others in graph.items()
        }
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            raise AssertionError(f"a circle: {' -> '.join(error.args[1])}") from None


def test_the_drawn_graph_sees_imports_for_types_and_in_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from mixmerge.study.plan import Study\n"
        "def f():\n    from mixmerge.config import load\n"
    )
    monkeypatch.setitem(MODULES, "mixmerge.core.x", file)
    assert {"mixmerge.study.plan", "mixmerge.config.load"} <= set(imports("mixmerge.core.x"))
