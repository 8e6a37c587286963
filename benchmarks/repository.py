"""A copy of the repository as a fresh clone is, for what plans or runs it elsewhere."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: What planning and running a study read.
_PARTS = (
    *("Snakefile", "rules", "profiles", "slurm", "config", "src", "packages", "tools"),
    *("workflow", "resources", "envs", "pyproject.toml"),
)


def copy_repository(target: Path) -> None:
    """Copy what planning and running a study read into ``target``, an existing directory."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in _PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target / part, ignore=ignored)
        elif (ROOT / part).exists():
            shutil.copyfile(ROOT / part, target / part)
