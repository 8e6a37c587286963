"""What a run shows while it goes on, when a job fails, and before it starts."""

import copy
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.workspace import ROOT, Workspace

ROWS = [
    {"id": f"r{n}", "problem": f'def f{n}(x):\n    """Add {n} to x."""', "solution": f"x + {n}"}
    for n in range(40)
]
TARGET = "results/shrunken/data/tasks/codegen/manifest.json"


def write_rows(folder: Path, answer: str) -> None:
    """The rows, with their answers in a column of this name."""
    rows = [{answer if key == "solution" else key: row[key] for key in row} for row in ROWS]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")


@pytest.fixture
def workspace(tmp_path: Path, shrunken: dict[str, Any]) -> Workspace:
    """The shrunken study with its generation task on a local file of rows."""
    data = copy.deepcopy(shrunken)
    source = {"kind": "local", "path": "rows.jsonl", "id_column": "id"}
    data["sources"]["functions-to-write"] = source
    write_rows(tmp_path, "solution")
    found = Workspace(tmp_path)
    found.write_config(data)
    return found


def plan(
    workspace: Workspace, *arguments: str, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    """The plan of a run; ``path`` stands for PATH."""
    command = [
        *(sys.executable, "-m", "mixmerge.resources.plan"),
        *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(workspace.path)),
        *("--configfile", str(workspace.path / "study.yaml")),
        *("--workflow-profile", str(ROOT / "profiles/default"), *arguments),
    ]
    environment = {**os.environ, **({} if path is None else {"PATH": path})}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.slow
def test_a_failure_shows_its_log_and_a_command_that_repeats_it(workspace: Workspace) -> None:
    """Of our profile's logger; what it shows is the plugin's own tests' business."""
    write_rows(workspace.path, "solutoin")
    failed = workspace.snakemake(TARGET)
    assert failed.returncode != 0
    output = failed.stdout + failed.stderr
    assert output.count("Error in rule prepare (task=codegen): exit status 1") == 1, output
    assert output.count("  | error: ") == 1, output
    assert "Traceback" not in output
    command = re.findall(r"^ *repeat it here: (.*)$", output, re.MULTILINE)[-1]
    assert shlex.split(command)[-1] == TARGET
    # The rows are an input of what fetched them: that is done anew as well.
    write_rows(workspace.path, "solution")
    mended = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert mended.returncode == 0, mended.stderr
    assert (workspace.path / TARGET).exists()


@pytest.mark.slow
def test_the_plan_is_that_of_the_dry_run_and_needs_no_slurm(
    workspace: Workspace, tmp_path: Path
) -> None:
    counts = workspace.planned("all")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sbatch", "squeue", "sacct", "sinfo", "scontrol", "sacctmgr", "scancel"):
        (tools / tool).write_text(f"#!/bin/sh\ntouch {tmp_path}/asked-{tool}\nexit 1\n")
        (tools / tool).chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    result = plan(workspace, "--executor", "slurm", "--jobs", "3", "all", path=path)
    assert result.returncode == 0, result.stderr
    # Imported, the executor plugin asks scontrol for its configuration, in every Snakemake.
    assert {file.name for file in tmp_path.glob("asked-*")} <= {"asked-scontrol"}
    assert "with slurm, at most at once: " in result.stdout and "jobs 3" in result.stdout
    lines = map(str.split, result.stdout.splitlines())
    rows = {parts[0]: parts for parts in lines if len(parts) > 4}
    assert int(rows["total"][1]) == sum(counts.values())
    assert int(rows["score"][1]) == counts["score"]
    assert "critical path" in result.stdout
    assert not (workspace.path / "results").exists()
    assert "rule " not in result.stdout + result.stderr
