"""What a run shows while it goes on, when a job fails, and before it starts."""

import copy
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.workspace import ROOT, Workspace, jobs, planned_jobs

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
    write_rows(workspace.path, "solutoin")
    result = workspace.snakemake(TARGET)
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert output.count("Error in rule prepare (task=codegen): exit status 1") == 1, output
    assert output.count("  | error: ") == 1, output
    assert "1 failed" in output
    assert "Traceback" not in output
    command = re.findall(r"^ *repeat it here: (.*)$", output, re.MULTILINE)[-1]

    def repeated() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
        )

    again = repeated()
    assert again.returncode != 0
    assert "0 of 1 jobs done, 1 failed" in again.stderr, again.stderr
    assert "Error in rule prepare (task=codegen): exit status 1" in again.stderr
    # The rows are an input of what fetched them: that is done anew as well.
    write_rows(workspace.path, "solution")
    mended = repeated()
    assert mended.returncode == 0, mended.stderr
    assert (workspace.path / TARGET).exists()
    assert shlex.split(command)[-1] == TARGET


@pytest.mark.slow
def test_a_file_gets_lines_and_the_log_of_snakemake_everything(workspace: Workspace) -> None:
    result = workspace.snakemake(TARGET)
    assert result.returncode == 0, result.stderr
    assert "jobs to do: data" in result.stderr
    done = re.search(r"(\d+) of (\d+) jobs done, in ", result.stderr)
    assert done is not None and done[1] == done[2]
    assert "\x1b" not in result.stderr
    (log,) = (workspace.path / ".snakemake/log").iterdir()
    text = log.read_text(encoding="utf-8")
    for word in ("Job stats:", "map and deduplicate the rows of task codegen", "100%", "Reason:"):
        assert word in text

    quiet = workspace.snakemake("--quiet", "--forcerun", "prepare", "--", TARGET)
    assert quiet.returncode == 0
    assert "jobs done" not in quiet.stderr + quiet.stdout
    own = workspace.snakemake("--logger-mixmerge-off", "--forcerun", "prepare", "--", TARGET)
    assert "1 of 1 steps (100%) done" in own.stderr

    # On a terminal the table is drawn in place.
    master, slave = pty.openpty()
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--directory", str(workspace.path), "--configfile", str(workspace.path / "study.yaml")),
        *("--workflow-profile", str(ROOT / "profiles/default"), "--cores", "1"),
        *("--forceall", "--", TARGET),
    ]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(command, cwd=ROOT, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    try:
        while block := os.read(master, 4096):
            shown += block
    except OSError:  # Linux's word for the other end having closed
        pass
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert b"\x1b[" in shown
    assert re.search(r"stage\s+done\s+running\s+queued\s+failed\s+of", text), text
    assert "2 of 2 jobs done, in" in text


def test_the_plan_is_that_of_the_dry_run(workspace: Workspace) -> None:
    dry = workspace.snakemake("--dry-run", "all")
    counts = jobs(dry.stdout + dry.stderr)
    result = plan(workspace, "--cores", "2", "all")
    assert result.returncode == 0, result.stderr
    rows = {
        parts[0]: parts for parts in map(str.split, result.stdout.splitlines()) if len(parts) > 4
    }
    assert int(rows["total"][1]) == sum(counts.values())
    assert int(rows["score"][1]) == counts["score"]
    assert "critical path" in result.stdout
    assert not (workspace.path / "results").exists()
    assert "rule " not in result.stdout + result.stderr


def test_the_plan_of_a_slurm_profile_needs_no_slurm(workspace: Workspace, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sbatch", "squeue", "sacct", "sinfo", "scontrol", "sacctmgr", "scancel"):
        (tools / tool).write_text(f"#!/bin/sh\ntouch {tmp_path}/asked-{tool}\nexit 1\n")
        (tools / tool).chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    result = plan(workspace, "--executor", "slurm", "--jobs", "3", "all", path=path)
    # Imported, the executor plugin asks scontrol for its configuration, in every Snakemake.
    assert {file.name for file in tmp_path.glob("asked-*")} <= {"asked-scontrol"}
    assert result.returncode == 0, result.stderr
    assert "with slurm, at most at once: " in result.stdout
    assert "jobs 3" in result.stdout


def test_a_mistake_in_the_config_is_told_once(workspace: Workspace) -> None:
    text = (workspace.path / "study.yaml").read_text()
    (workspace.path / "study.yaml").write_text(text.replace("learning_rate", "learning_rat"))
    for result in (plan(workspace, "all"), workspace.snakemake("all")):
        output = result.stdout + result.stderr
        assert result.returncode == 1
        assert output.count("sft: unknown key 'learning_rat'") == 1, output
        assert "Traceback" not in output


def test_the_papers_grid_takes_the_papers_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About 4 h on 4 H100 for a small model's run and 20 h for a large one's, 31 runs in all."""
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    # A job gets no more GPUs than the driver itself may use, where it is told so.
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    config = str(ROOT / "config/config.yaml")
    planned = planned_jobs(tmp_path, "--configfile", config, "--cores", "1", "--", "all")
    runs = {tuple(j["wildcards"].values()): j["resources"] for j in planned if j["rule"] == "sft"}
    assert len(runs) == 31
    assert all(run["gpu"] == 4 for run in runs.values())
    hours = {name: run["expected_s"] / 3600 for name, run in runs.items()}
    assert hours["qwen2.5-coder-1.5b", "sft-codegen-p100"] == pytest.approx(4, rel=0.1)
    assert hours["qwen2.5-coder-7b", "sft-codegen-p100"] == pytest.approx(20, rel=0.1)
    assert 500 < sum(4 * one for one in hours.values()) < 2000
