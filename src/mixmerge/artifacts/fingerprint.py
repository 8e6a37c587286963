"""A fingerprint of the code a stage runs, so that code is an input of its rule.

Snakemake sees a changed script but no changed imported module, and takes a ``git checkout``'s new
mtime for a change. The fingerprint is a hash over the syntax trees of the script and of every
first-party module it imports, directly or not, also inside functions, or starts as a program of its
own (``-m mixmerge...``), and over the data files that lie beside those modules. Comments,
docstrings and formatting do not count; anything that can change what runs does. The versions of the
libraries that this code imports stand beside the hash.
"""

import ast
import hashlib
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

from mixmerge.artifacts.software import libraries, versions
from mixmerge.core.io import sha256

PACKAGE = "mixmerge"

#: How a job is run, not what it computes: a change there, or in what it imports, re-runs nothing.
_MACHINERY = {
    "mixmerge.checkpoint.jail",
    "mixmerge.artifacts.content",
    "mixmerge.artifacts.hashing",
    "mixmerge.artifacts.sums",
    "mixmerge.core.parent_watchdog",
    "mixmerge.artifacts.reuse",
    "mixmerge.core.redaction",
}

_ROOT = Path(__file__).resolve().parents[2]  # .../src


def fingerprint(script: Path) -> str:
    """Hash the code that a rule's script runs.

    Args:
        script: a file in workflow/scripts.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256(_digest(script).encode())
    folders = set()
    for name, file in _modules(script).items():
        digest.update(f"{name} {_digest(file)}".encode())
        folders.add(file.parent)
    for folder in sorted(folders):
        # Tables that lie beside the modules are read by them: they are code, too.
        for data in sorted(folder.iterdir()):
            if data.is_file() and data.suffix not in (".py", ".pyc"):
                digest.update(f"{data.name} {sha256(data)}".encode())
    return digest.hexdigest()[:16]


def software(script: Path, pinned: Mapping[str, str] | None = None) -> dict[str, str]:
    """Versions of the libraries that a rule's script computes with.

    Args:
        script: a file in workflow/scripts.
        pinned: versions to answer from, in place of those installed here.
    """
    files = [script, *_modules(script).values()]
    return versions(libraries(set().union(*map(_third_party, files))), pinned)


def stage_code(script: Path, pinned: Mapping[str, str] | None = None) -> str:
    """Code and libraries of a stage as a rule's param: ``0f3a... numpy 2.4.6 torch 2.13.0``."""
    found = software(script, pinned)
    return " ".join([fingerprint(script), *(f"{name} {number}" for name, number in found.items())])


def third_party(script: Path) -> set[str]:
    """Top-level names of everything that a script may import beside ours and Python's own.

    Unlike `software` it leaves out nothing: machinery and bystanders count, too.
    """
    files = [script, *_modules(script, left_out=()).values()]
    return set().union(*map(_third_party, files))


def _programs(path: Path) -> set[str]:
    """First-party modules that a file names in a string, as the command line of a program."""
    texts = (node.value for node in ast.walk(_parse(path)) if isinstance(node, ast.Constant))
    named = {text for text in texts if isinstance(text, str) and text.startswith(f"{PACKAGE}.")}
    return {name for name in named if _file(name) is not None}


def _modules(script: Path, left_out: Collection[str] = _MACHINERY) -> dict[str, Path]:
    """First-party modules that a script runs, imported directly or not, by name, sorted."""
    seen: set[str] = set()
    pending = list(_imports(script))
    files: dict[str, Path] = {}
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        file = _file(name)
        if file is not None and name not in left_out:
            files[name] = file
            pending.extend(_imports(file) - seen)
    return dict(sorted(files.items()))


def _file(module: str) -> Path | None:
    """The source file of a first-party module, None where the name is an attribute of one."""
    base = _ROOT.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def _imported(path: Path) -> frozenset[str]:
    """Dotted names a file imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in _statements(_parse(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            # ``from package import module`` names a module only where there is such a file.
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def _third_party(path: Path) -> set[str]:
    """Top-level names of what a file imports that is neither ours nor Python's own."""
    names = {name.partition(".")[0] for name in _imported(path)}
    return names - {PACKAGE} - sys.stdlib_module_names


@cache
def _imports(path: Path) -> frozenset[str]:
    """First-party modules a file imports anywhere or starts as programs of their own.

    Packages on the way count, they run too.
    """
    found: set[str] = set()
    for name in _imported(path) | _programs(path):
        parts = name.split(".")
        if parts[0] != PACKAGE:
            continue
        found.update(".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return frozenset(found)


@cache
def _digest(path: Path) -> str:
    """Hash of one file's syntax tree without docstrings."""
    tree = _parse(path)
    for block in [tree, *_statements(tree)]:
        body = getattr(block, "body", None)
        if isinstance(body, list):
            # Bare strings: docstrings, and the attribute docstrings of config sections.
            body[:] = [node for node in body if not _is_text(node)] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements below a node, however deep, without a look into their expressions."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        block = getattr(tree, name, None)
        if isinstance(block, list):
            for node in block:
                yield node
                yield from _statements(node)
