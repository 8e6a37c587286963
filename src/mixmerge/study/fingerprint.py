"""A fingerprint of the first-party code a stage runs, so that code is an input of its rule.

Snakemake sees a changed script but no changed imported module, and takes a ``git checkout``'s new
mtime for a change. The fingerprint is a hash over the syntax trees of the script and of every
first-party module it imports, directly or not, also inside functions, and over the data files that
lie beside those modules. Comments, docstrings and formatting do not count; anything that can change
what runs does.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from mixmerge.files import sha256

PACKAGE = "mixmerge"
_ROOT = Path(__file__).resolve().parents[2]  # .../src


def fingerprint(script: Path) -> str:
    """Hash the code that a rule's script runs.

    Args:
        script: a file in workflow/scripts.

    Returns:
        16 hexadecimal digits.
    """
    modules: set[str] = set()
    pending = list(_imports(script))
    while pending:
        name = pending.pop()
        if name in modules:
            continue
        modules.add(name)
        file = _file(name)
        if file is not None:
            pending.extend(_imports(file) - modules)
    digest = hashlib.sha256(_digest(script).encode())
    folders = set()
    for name in sorted(modules):
        file = _file(name)
        if file is not None:
            digest.update(f"{name} {_digest(file)}".encode())
            folders.add(file.parent)
    for folder in sorted(folders):
        # Tables that lie beside the modules are read by them: they are code, too.
        for data in sorted(folder.iterdir()):
            if data.is_file() and data.suffix not in (".py", ".pyc"):
                digest.update(f"{data.name} {sha256(data)}".encode())
    return digest.hexdigest()[:16]


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
def _imports(path: Path) -> frozenset[str]:
    """First-party modules a file imports anywhere; packages on the way count, they run too."""
    names: set[str] = set()
    for node in _statements(_parse(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            # ``from package import module`` names a module only where there is such a file.
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    found: set[str] = set()
    for name in names:
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
