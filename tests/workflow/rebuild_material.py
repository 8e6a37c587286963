"""Studies that look finished, and the jobs that a change makes Snakemake plan."""

import csv
import multiprocessing
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from repository import copy_repository

#: Rules that follow any change of a score.
REPORT = {"tables", "figures", "verdict", "timing"}

#: Outputs that are deleted when all that reads them is done.
_TEMPORARY = "merged"

# Half of a dry run is the import of Snakemake: it is imported once, and each run is a fork of that.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["snakemake.cli", "pydantic"])


def _snakemake(
    given: list[str], repository: Path, printed: Path, variables: dict[str, str]
) -> None:
    """Snakemake's command line in a process of its own, which must not know our mixmerge yet."""
    from snakemake.cli import main

    assert "mixmerge" not in sys.modules
    with printed.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(repository)
    sources = str(repository / "src")
    os.environ |= {"NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": sources, **variables}
    sys.path[:0] = [*filter(None, variables.get("PYTHONPATH", "").split(":")), sources]
    main(given)


@dataclass(frozen=True)
class Rebuild:
    """A copy of the repository, and a directory with a study's results."""

    repository: Path
    workspace: Path

    @property
    def results(self) -> Path:
        return self.workspace / "results" / self.read_config()["study"]

    def read_config(self) -> dict[str, Any]:
        return yaml.safe_load((self.workspace / "study.yaml").read_text(encoding="utf-8"))

    def write_config(self, config: dict[str, Any]) -> None:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        (self.workspace / "study.yaml").write_text(text, encoding="utf-8")

    def change_code(self, file: str, old: str, new: str) -> None:
        """Replace text that occurs in a file of the repository's copy."""
        path = self.repository / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} no longer holds {old!r}; name another change"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def snakemake(self, *arguments: str, variables: dict[str, str] | None = None) -> str:
        """Run the copy's workflow on all cores the tests have; returns what it printed."""
        given = [
            *("--snakefile", str(self.repository / "Snakefile")),
            *("--directory", str(self.workspace)),
            *("--configfile", str(self.workspace / "study.yaml"), "--cores", "16"),
            *("--workflow-profile", str(self.repository / "profiles/default")),
            *arguments,
        ]
        printed = self.workspace / "printed.txt"
        run = _FORKS.Process(
            target=_snakemake, args=(given, self.repository, printed, variables or {})
        )
        run.start()
        run.join()
        text = printed.read_text(encoding="utf-8")
        assert run.exitcode == 0, text[-6000:]
        return text

    def planned(self, variables: dict[str, str] | None = None) -> set[str]:
        """The jobs of a dry run: ``rule place``, place being the output below the study's root.

        Rules without wildcards are named by the rule alone.
        """
        rows = self._summary(variables)
        pending = [row for row in rows if row["plan"] == "update pending"]
        per_rule = Counter(row["rule"] for row in rows)
        return {self._job(row, alone=per_rule[row["rule"]] == 1) for row in pending}

    def touch(self) -> None:
        """Make the study look finished: small outputs, and Snakemake's own records of them."""
        for row in self._summary(None):
            path = self.workspace / row["output_file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if _TEMPORARY not in path.parts:
                path.write_text(f"{row['output_file']}\n", encoding="utf-8")
        self.snakemake("--touch", "--forceall", "--quiet", "all", "--", "all")

    def copy_to(self, target: Path) -> "Rebuild":
        """Another repository and other results with the same content and times."""
        shutil.copytree(self.repository, target / "repository", symlinks=True)
        shutil.copytree(self.workspace, target / "workspace", symlinks=True)
        return Rebuild(target / "repository", target / "workspace")

    def _summary(self, variables: dict[str, str] | None) -> list[dict[str, str]]:
        lines = self.snakemake("--summary", "all", variables=variables).splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("output_file\t"))
        table = [line for line in lines[start:] if "\t" in line]
        return list(csv.DictReader(table, delimiter="\t"))

    def _job(self, row: dict[str, str], alone: bool) -> str:
        if alone or row["rule"] in REPORT:
            return row["rule"]
        path = Path(row["output_file"])
        parts = list(path.relative_to(self.results.relative_to(self.workspace)).parts)
        # A merge is one job with two outputs: its record, and its weights.
        parts[0] = "checkpoints" if parts[0] == _TEMPORARY else parts[0]
        if parts[-1] == "manifest.json":
            parts.pop()
        parts[-1] = parts[-1].removesuffix(".json").removesuffix(".yaml")
        return f"{row['rule']} {'/'.join(parts)}"


def new_rebuild(target: Path, config: dict[str, Any]) -> Rebuild:
    """A copy of the repository and an empty workspace with a config."""
    rebuild = Rebuild(target / "repository", target / "workspace")
    rebuild.repository.mkdir(parents=True)
    rebuild.workspace.mkdir()
    copy_repository(rebuild.repository)
    # Chat templates that a config names stand below the directory that Snakemake works in.
    (rebuild.workspace / "resources").symlink_to(rebuild.repository / "resources")
    rebuild.write_config(config)
    return rebuild


def distribution(target: Path, name: str, version: str) -> None:
    """Metadata of an installed distribution, as pip leaves it: found first on PYTHONPATH."""
    folder = target / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def below(model: str, *variants: str) -> set[str]:
    """Jobs that follow from other completions: score, choose, weigh, report.

    To generate with a merge its weights are made again, and deleted afterwards. Its statistics
    stand: see `merging`.
    """
    found = {f"uncertainty uncertainty/{model}"} | REPORT
    for variant in variants:
        found |= {
            f"generate completions/{model}/{variant}",
            f"score scores/{model}/{variant}",
        }
        kind = variant.partition("-")[0]
        if kind in ("sft", "mix"):
            found.add(f"layers weights/{model}/{variant}")
        elif kind != "base":
            found |= {f"merge checkpoints/{model}/{variant}", f"winner winners/{model}/{kind}"}
    return found


def merging(model: str, *variants: str, recipe: bool = True) -> set[str]:
    """Jobs of some merges and all that follows from them."""
    found = below(model, *variants)
    for variant in variants:
        found.add(f"merged_layers weights/{model}/{variant}")
        if recipe:
            found.add(f"recipe recipes/{model}/{variant}")
    return found


def counts(jobs: set[str]) -> Counter[str]:
    """Rule -> number of jobs."""
    return Counter(job.split()[0] for job in jobs)
