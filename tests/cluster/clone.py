"""The repository as a fresh clone, with a study and a profile of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lab import Lab

from fixtures.workspace import ROOT

#: What a study runs from; the rest of the repository is tests and pages.
PARTS = (
    *("Snakefile", "rules", "workflow", "src", "packages", "tools", "config"),
    *("resources", "profiles", "slurm", "envs"),
)


@dataclass
class Clone:
    """A copy of the repository in which Snakemake is called as a user calls it."""

    path: Path
    lab: Lab | None = None
    before_path: Path | None = None
    """A folder of programs that go before the system's own."""

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start ``snakemake ARGUMENTS`` in the environment that `make setup` makes."""
        path = [str(Path(sys.executable).parent), os.environ["PATH"]]
        if self.before_path:
            path.insert(0, str(self.before_path))
        return subprocess.Popen(
            ["snakemake", *arguments],
            cwd=self.path,
            env={
                **(self.lab.environment if self.lab else os.environ),
                "PATH": ":".join(path),
                "NO_COLOR": "1",
            },
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def snakemake(self, *arguments: str, timeout: float = 900) -> str:
        """Run ``snakemake ARGUMENTS`` and return what it said; it must succeed."""
        with self.start(*arguments) as process:
            try:
                output, _ = process.communicate(timeout=timeout)
            except BaseException:
                process.send_signal(signal.SIGINT)  # cancels its jobs
                process.wait(120)
                raise
        assert process.returncode == 0, output
        return output

    @property
    def results(self) -> Path:
        """The study's results."""
        return self.path / "results/shrunken"

    def tables(self) -> dict[str, bytes]:
        """All tables by name."""
        return {file.name: file.read_bytes() for file in (self.results / "tables").iterdir()}


def clone(path: Path, study: dict[str, Any], lab: Lab | None = None) -> Clone:
    """Copy the repository; its default config becomes ``study``."""
    path.mkdir(parents=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(
                ROOT / part, path / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy2(ROOT / part, path / part)
    (path / "config/config.yaml").write_text(
        yaml.safe_dump(study, sort_keys=False), encoding="utf-8"
    )
    # What its user would adapt: two cores do the work of all nodes.
    profile = path / "slurm/profile.yaml"
    text = profile.read_text(encoding="utf-8")
    for name, value in {"jobs": 4, "slurm-init-seconds-before-status-checks": 2}.items():
        text, found = re.subn(rf"(?m)^{name}:.*$", f"{name}: {value}", text)
        assert found == 1, name
    profile.write_text(text, encoding="utf-8")
    return Clone(path, lab)
