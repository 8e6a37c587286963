"""Fingerprints of a stage's code, an input of its rule: Snakemake sees no changed imported module.

Hashed are the syntax trees of the script and of all first-party modules that it imports or starts
(``-m mixmerge...``), and data files beside them; not comments, docstrings, formatting and times.
"""

import ast
import hashlib
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from mixmerge.core.io import sha256

_SRC, _REPOSITORY = Path(__file__).resolve().parents[2:4]

#: Folders of first-party packages, as far as they are there.
ROOTS = [_SRC, *sorted(_REPOSITORY.glob("packages/*/src")), *_REPOSITORY.glob("tools")]

#: What counts of a stage's code; not beside the modules, where it were code of every stage.
TABLE = tomllib.loads(Path(__file__).with_name("tables").joinpath("code.toml").read_text("utf-8"))
_MACHINERY = frozenset(TABLE["machinery"])


def stage_code(script: Path, pinned: Mapping[str, str] | None = None) -> str:
    """Code and libraries of a stage as a rule's param: ``0f3a... numpy 2.4.6 torch 2.13.0``."""
    libraries = [f"{name} {number}" for name, number in software(script, pinned).items()]
    return " ".join([fingerprint(script), *libraries])


def fingerprint(script: Path) -> str:
    """Hash the code that a rule's script runs; returns 16 hexadecimal digits."""
    modules = _modules(script, _MACHINERY)
    parts = [_read(script).digest]
    parts += [f"{name} {_read(file).digest}" for name, file in modules.items()]
    # Tables that lie beside the modules are read by them: they are code, too.
    parts += [_tables(folder) for folder in sorted({file.parent for file in modules.values()})]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def software(script: Path, pinned: Mapping[str, str] | None = None) -> dict[str, str]:
    """Distribution -> version of the libraries that a script computes with, pinned or installed.

    A build's own part such as ``+cpu`` is left out, and so is what is not installed.
    """
    names: set[str] = set()
    for module in third_party(script, _MACHINERY):
        name = TABLE["distributions"].get(module, module.lower().replace("_", "-"))
        names |= {name, *TABLE["computes_with"].get(name, ())}
    find = _installed if pinned is None else pinned.get
    versions = [(name, find(name)) for name in sorted(names - {*TABLE["bystanders"]})]
    return {name: number.partition("+")[0] for name, number in versions if number is not None}


def third_party(script: Path, left_out: frozenset[str] = frozenset()) -> set[str]:
    """Top-level names of what a script and its modules import that is not ours nor Python's."""
    files = [script, *_modules(script, left_out).values()]
    names = {name.partition(".")[0] for file in files for name in _read(file).imports}
    return names - _sources().keys() - sys.stdlib_module_names


def read_lock(path: Path) -> dict[str, str]:
    """Name -> version of a requirements file whose lines are ``name==version``."""
    lines = [line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    pins = dict(line.split("==", 1) for line in lines if "==" in line)
    return {name.strip().lower().replace("_", "-"): pin.strip() for name, pin in pins.items()}


@cache
def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def _sources() -> dict[str, Path]:
    """Source files of all first-party packages and modules, by dotted name."""
    files: dict[str, Path] = {}
    for root in ROOTS:
        for package in root.glob("*/__init__.py"):
            for path in package.parent.rglob("*.py"):
                name = ".".join(path.relative_to(root).with_suffix("").parts)
                files.setdefault(name.removesuffix(".__init__"), path)
    return files


@cache
def _tables(folder: Path) -> str:
    """Names and SHA-256 of a folder's data files."""
    files = [f for f in folder.iterdir() if f.is_file() and f.suffix not in (".py", ".pyc")]
    return " ".join(f"{file.name} {sha256(file)}" for file in sorted(files))


@cache
def _modules(script: Path, left_out: frozenset[str]) -> dict[str, Path]:
    """First-party modules that a script imports, or names in a string: programs that it starts."""
    sources, pending = _sources(), [script]
    files: dict[str, Path] = {}
    while pending:
        source = _read(pending.pop())
        for name in source.imports | (source.texts & sources.keys()):
            # The packages on the way run too.
            for module in accumulate(name.split("."), "{}.{}".format):
                if module in sources and module not in files and module not in left_out:
                    files[module] = sources[module]
                    pending.append(sources[module])
    return dict(sorted(files.items()))


class _Source(NamedTuple):
    digest: str  # of the syntax tree without docstrings
    imports: set[str]
    texts: set[str]  # strings that may name a module


@cache
def _read(path: Path) -> _Source:
    """Read a source file; statements alone are walked: all nodes take twice as long."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, filename=str(path))
    imports: set[str] = set()
    pending: list[ast.AST] = [tree]
    for node in pending:
        match node:
            case ast.Import():
                imports.update(alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                # ``from package import module`` names a module only where there is such a file.
                imports.update((module, *(f"{module}.{alias.name}" for alias in node.names)))
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            block = getattr(node, field, [])
            # Bare constants, such as docstrings, do nothing.
            block[:] = [
                part
                for part in block
                if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ]
            pending += block
    texts = set(re.findall(r"""["'](\w+(?:\.\w+)+)["']""", source))
    return _Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports, texts)
