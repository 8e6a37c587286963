"""Fingerprints of the code that a stage runs, so that code is an input of its rule.

Snakemake sees a changed script but no changed imported module, and takes a ``git checkout``'s new
mtime for a change. The fingerprint is a hash over the syntax trees of the script and of every
first-party module it imports, directly or not, or starts as a program of its own (``-m
mixmerge...``), and over the data files beside those modules. Comments, docstrings and formatting do
not count. The versions of the libraries that this code computes with stand beside the hash.
"""

import ast
import hashlib
import sys
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from mixmerge.core.io import sha256

_SRC, _REPOSITORY = Path(__file__).resolve().parents[2:4]

#: Folders of first-party packages, as far as they are there.
ROOTS = [_SRC, *sorted(_REPOSITORY.glob("packages/*/src")), *_REPOSITORY.glob("tools")]

#: How a job is run, not what it computes: a change there, or in what it imports, re-runs nothing.
_MACHINERY = frozenset({"mixmerge.artifacts.integrity", "mixmerge.artifacts.record"})
_MACHINERY |= {"mixmerge.core.parent_watchdog", "mixmerge.core.redaction"}
_MACHINERY |= {"mixmerge.checkpoint.jail"}

#: Modules that a distribution of another name installs.
_DISTRIBUTIONS = {"yaml": "pyyaml"}

#: Imported, but unable to change a result: checks of settings, progress bars, and what carries
#: bytes over the network that a pinned revision or a checksum fixes.
_BYSTANDERS = {"huggingface-hub", "httpx2", "psutil", "pydantic", "tqdm"}

#: What a library computes with, where our code does not import that itself. One level, and only
#: what holds numerics or turns text into numbers: an upgrade of anything deeper re-runs nothing.
_COMPUTES_WITH = {
    "datasets": ("pyarrow",),  # storage of the tokenised rows
    "evalplus": ("numpy",),  # comparison of outputs within a tolerance
    "mergekit": ("safetensors", "torch", "transformers"),  # tensors; architectures
    "rouge-score": ("nltk", "numpy"),  # stemming; scores
    "scipy": ("numpy",),  # tests and intervals
    "statsmodels": ("numpy", "scipy"),  # likewise
    "transformers": ("safetensors", "tokenizers"),  # weights; token ids
    "trl": ("accelerate", "datasets", "transformers"),  # the training loop is transformers'
}


def stage_code(script: Path, pinned: Mapping[str, str] | None = None) -> str:
    """Code and libraries of a stage as a rule's param: ``0f3a... numpy 2.4.6 torch 2.13.0``."""
    libraries = [f"{name} {number}" for name, number in software(script, pinned).items()]
    return " ".join([fingerprint(script), *libraries])


def fingerprint(script: Path) -> str:
    """Hash the code that a rule's script runs; returns 16 hexadecimal digits."""
    modules = _modules(script)
    parts = [_read(script).digest]
    parts += [f"{name} {_read(file).digest}" for name, file in modules.items()]
    # Tables that lie beside the modules are read by them: they are code, too.
    parts += [_tables(folder) for folder in sorted({file.parent for file in modules.values()})]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def software(script: Path, pinned: Mapping[str, str] | None = None) -> dict[str, str]:
    """Versions of the libraries that a script computes with, installed ones unless pinned.

    Returns:
        Distribution (lower case, hyphens) -> public version, without a build's own part such as
        ``+cpu``. What is not installed is left out: what is optional takes part once it is there.
    """
    names: set[str] = set()
    for module in _third_party([script, *_modules(script).values()]):
        name = _DISTRIBUTIONS.get(module, module.lower().replace("_", "-"))
        names |= {name, *_COMPUTES_WITH.get(name, ())}
    versions = {}
    for name in sorted(names - _BYSTANDERS):
        number = _installed(name) if pinned is None else pinned.get(name)
        if number is not None:
            versions[name] = number.partition("+")[0]
    return versions


def third_party(script: Path) -> set[str]:
    """Top-level names of all that a script may import beside ours and Python's own."""
    return _third_party([script, *_modules(script, left_out=()).values()])


def read_lock(path: Path) -> dict[str, str]:
    """Name -> version of a requirements file whose lines are ``name==version``."""
    lines = [line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    pins = dict(line.split("==", 1) for line in lines if "==" in line)
    return {name.strip().lower().replace("_", "-"): pin.strip() for name, pin in pins.items()}


@cache
def _installed(name: str) -> str | None:
    """The version in this environment; a look-up takes about half a millisecond."""
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
def _modules(script: Path, left_out: Collection[str] = _MACHINERY) -> dict[str, Path]:
    """First-party modules that a script runs, imported directly or not, by name, sorted."""
    files: dict[str, Path] = {}
    pending = set(_first_party(script))
    while pending:
        name = pending.pop()
        if name not in left_out:
            files[name] = _sources()[name]
            pending |= _first_party(files[name]) - files.keys()
    return dict(sorted(files.items()))


@cache
def _first_party(path: Path) -> set[str]:
    """First-party modules that a file imports, or names in a string: a program that it starts.

    Packages on the way count, they run too.
    """
    source = _read(path)
    programs = {text for text in source.texts & _sources().keys() if "." in text}
    names: set[str] = set()
    for name in source.imports | programs:
        parts = name.split(".")
        names.update(".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return names & _sources().keys()


def _third_party(files: Iterable[Path]) -> set[str]:
    """Top-level names of what files import that is neither ours nor Python's own."""
    names = {name.partition(".")[0] for file in files for name in _read(file).imports}
    return names - _sources().keys() - sys.stdlib_module_names


class _Source(NamedTuple):
    """A source file: a hash without docstrings, what it imports anywhere, and its strings."""

    digest: str
    imports: set[str]
    texts: set[str]


@cache
def _read(path: Path) -> _Source:
    """Read a source file; in one pass, as `ast.walk` and `ast.dump` take three times as long."""
    parts: list[str] = []
    imports: set[str] = set()
    texts: set[str] = set()

    def visit(node: ast.AST) -> None:
        parts.append(node.__class__.__name__)
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            imports.add(node.module)
            # ``from package import module`` names a module only where there is such a file.
            imports.update(f"{node.module}.{alias.name}" for alias in node.names)
        for name in node._fields:
            value = getattr(node, name, None)
            for item in value if isinstance(value, list) else [value]:
                if not isinstance(item, ast.AST):
                    parts.append(repr(item))
                    if isinstance(item, str):
                        texts.add(item)
                elif not _is_idle(item):
                    visit(item)
            if isinstance(value, list):
                parts.append("]")

    visit(ast.parse(path.read_bytes(), filename=str(path)))
    return _Source(hashlib.sha256("\0".join(parts).encode()).hexdigest(), imports, texts)


def _is_idle(node: ast.AST) -> bool:
    """Whether a statement does nothing: a bare text, such as a docstring, or ``pass``."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    return isinstance(node, ast.Pass)
