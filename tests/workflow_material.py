"""The repository's workflow in a directory of its own, and the demo's config made small."""

import copy
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Workspace:
    """A directory in which the repository's workflow runs with its own config and results."""

    path: Path

    def write_config(self, data: dict[str, Any], name: str = "study.yaml") -> Path:
        file = self.path / name
        file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return file

    def command(self, *arguments: str, config: str = "study.yaml") -> list[str]:
        """The command line of a run of the workflow."""
        return [
            *(sys.executable, "-m", "snakemake"),
            *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(self.path)),
            *("--configfile", str(self.path / config), "--cores", "2"),
            *("--workflow-profile", str(ROOT / "profiles/default")),
            *arguments,
        ]

    def snakemake(
        self, *arguments: str, config: str = "study.yaml", timeout: float = 1500
    ) -> subprocess.CompletedProcess[str]:
        """Run the real workflow; relative paths of the config are below this directory."""
        return subprocess.run(
            self.command(*arguments, config=config),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def planned(self, *arguments: str, config: str = "study.yaml") -> dict[str, int]:
        """Rule -> number of jobs a dry run plans, without the target rule."""
        result = self.snakemake("--dry-run", "--quiet=rules", *arguments, config=config)
        assert result.returncode == 0, result.stdout + result.stderr
        return jobs(result.stdout + result.stderr)

    def copy_to(self, target: Path) -> "Workspace":
        """A copy with all results and Snakemake's records, as ``cp -a`` makes it."""
        shutil.copytree(self.path, target, symlinks=True)
        return Workspace(target)


def jobs(output: str) -> dict[str, int]:
    """Parse Snakemake's job table."""
    counts: dict[str, int] = {}
    for line in output.splitlines():
        parts = line.split()
        if len(parts) == 2 and parts[1].isdigit() and parts[0] not in ("total", "all"):
            counts[parts[0]] = int(parts[1])
    return counts


def shrink(demo: dict[str, Any]) -> dict[str, Any]:
    """The demo's config at a size that runs in minutes: fewer items, steps and checkpoints."""
    data = copy.deepcopy(demo)
    data["study"] = "shrunken"
    data["embedded"] = {
        "pretrain_items": 400,
        "train_items": 160,
        "validation_items": 6,
        "test_items": 8,
    }
    for model in data["models"].values():
        model["model"] |= {
            "hidden_size": 64,
            "intermediate_size": 128,
            "layers": 2,
            "heads": 2,
            "kv_heads": 1,
            "vocab_size": 512,
            "steps": 60,
        }
    data["data_scale"] = [50, 100]
    data["models"]["llama-small"] |= {"data_scale": [100], "strategies": {"dare": [0.3]}}
    data["sft"] |= {"epochs": 1}
    for key, strategy in data["strategies"].items():
        strategy["ratios"] = [0.3, 0.7] if key == "linear" else [0.3]
    return data
