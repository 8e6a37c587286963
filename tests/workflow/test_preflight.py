"""`snakemake preflight`, as people type it: all findings at once, no job, no trace, in seconds."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures import sound_study as material
from fixtures.workspace import ROOT

pytestmark = pytest.mark.slow


def preflight(
    *options: str, cwd: Path = ROOT, path: str | None = None
) -> tuple[int, list[str], str]:
    """Exit code, findings, and everything; without --cores, as people type it."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile"]
    done = subprocess.run(
        [*command, str(ROOT / "profiles/default"), *options, "--", "preflight"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **({"PATH": path} if path else {})},
    )
    output = done.stdout + done.stderr
    assert "Traceback" not in output, output
    lines = done.stdout.splitlines()
    return done.returncode, [x for x in lines if x.startswith(("error: ", "warning: "))], output


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A directory with the sound study's files."""
    write(tmp_path, material.sound(tmp_path))
    return tmp_path


def write(workspace: Path, config: dict[str, Any]) -> None:
    (workspace / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def test_a_sound_study_by_relative_paths(workspace: Path) -> None:
    """Snakemake goes to `--directory` first; the plan's process must look from where it was called.

    The Snakefile of this call is relative, and so is the config file.
    """
    config = workspace / "elsewhere"
    config.mkdir()
    (workspace / "study.yaml").rename(config / "study.yaml")
    code, findings, output = preflight(
        *("--configfile", "study.yaml", "--directory", ".."),
        *("--snakefile", os.path.relpath(ROOT / "Snakefile", config)),
        cwd=config,
    )
    assert code == 0, output
    assert not [line for line in findings if line.startswith("error")]
    rows = {line.split()[0]: line for line in output.splitlines() if "  ok  " in line}
    assert {"config", "data", "suites", "models", "plan", "disk", "cluster"} <= set(rows)
    assert "jobs" in rows["plan"] and "GB free at" in rows["disk"]
    # It looked, and did nothing: no result, and no record of a run that others would wait for.
    assert {path.name for path in workspace.iterdir()} == {
        *("elsewhere", "given", "train.jsonl", "test.jsonl", "own.jsonl", ".snakemake"),
    }
    assert not (workspace / ".snakemake/drivers").exists()
    assert not list((workspace / ".snakemake/locks").glob("*"))


def test_all_that_is_wrong_is_told_in_one_run(workspace: Path) -> None:
    """A file, a column, a template and a weight; a mistake in the config is told before."""
    config = copy.deepcopy(material.CONFIG)
    config["sources"]["test"]["path"] = "tset.jsonl"
    config["models"]["untied"]["chat_template"] = "t.jinja"
    config["models"]["tied"]["parameters"] = 10**15
    write(workspace, config)
    (workspace / "t.jinja").write_text("{% for m in messages %}{{ m.content }}")
    text = (workspace / "train.jsonl").read_text()
    (workspace / "train.jsonl").write_text(text.replace('"solution"', '"solutoin"'))
    weights = workspace / "given/tied/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    code, findings, output = preflight(
        *("--directory", str(workspace), "--configfile", str(workspace / "study.yaml"))
    )
    assert code == 1
    for words in (
        "sources.test.path: tset.jsonl does not exist",
        "train.jsonl:1: no column 'solution'",
        "did you mean 'solutoin'?",
        "t.jinja:1: models.untied.chat_template: cannot be rendered",
        "model.safetensors: cut off",
    ):
        assert sum(words in line for line in findings) == 1, (words, output)
    assert not (workspace / "results").exists()


@pytest.mark.long
def test_the_papers_study_against_slurms_limits(workspace: Path, tmp_path: Path) -> None:
    """Under our profile, where partitions are too short and too small."""
    programs = tmp_path / "programs"
    programs.mkdir()
    answer = "cpu|up|0:05:00|1000|(null)\\ngpu|up|1:00:00|1000000|gpu:h100:2\\n"
    (programs / "sinfo").write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    (programs / "sbatch").write_text("#!/bin/sh\nexit 9\n")
    # The executor's plugin cannot be imported without one of the two.
    (programs / "squeue").write_text("#!/bin/sh\nexit 9\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    (workspace / "resources").symlink_to(ROOT / "resources")
    _, findings, output = preflight(
        *("--directory", str(workspace), "--configfile", str(ROOT / "config/config.yaml")),
        *("--profile", str(ROOT / "slurm")),
        path=f"{programs}:{os.environ['PATH']}",
    )
    assert "5 models, 2 tasks, 5 suites, 145 recipes" in output
    for words in (
        "rule sft will ask for",
        "partition 'gpu' allows 60; set longest_hours: 1",
        "partition 'gpu': rule sft will ask for 4 GPUs on a node, its nodes have 2",
        "partition 'cpu' allows 5",
        "the largest has 1,000; name another partition (--set-resources merge:",
    ):
        assert any(words in line for line in findings), (words, output)
    assert not any("rule snapshot" in line or "rule fetch" in line for line in findings)
