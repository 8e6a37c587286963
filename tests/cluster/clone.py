"""The repository as a fresh clone, with a study and a profile of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
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
    environment: dict[str, str] = field(default_factory=dict)

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
                **self.environment,
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

    def adapt(self, **settings: object) -> None:
        """Change single lines of the profile, as its user does."""
        file = self.path / "slurm/profile.yaml"
        text = file.read_text(encoding="utf-8")
        for name, value in settings.items():
            key = name.replace("_", "-") if "slurm_partition" not in name else name
            text, found = re.subn(rf"(?m)^(\s*){key}:.*$", rf"\g<1>{key}: {value}", text)
            assert found == 1, key
        file.write_text(text, encoding="utf-8")

    def say(self, name: str, value: str) -> None:
        """Add a default resource to the profile, as its user does."""
        file = self.path / "slurm/profile.yaml"
        text, head = file.read_text(encoding="utf-8"), "default-resources:\n"
        assert text.count(head) == 1
        file.write_text(text.replace(head, f"{head}  {name}: {value}\n"), encoding="utf-8")


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
    made = Clone(path, lab)
    # What its user would adapt: two cores do the work of all nodes.
    made.adapt(jobs=4, slurm_init_seconds_before_status_checks=2)
    return made
