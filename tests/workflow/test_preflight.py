"""`snakemake preflight`, as people type it: all findings at once, no job, no trace, in seconds."""

import copy
import os
import resource
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
    directory: Path, *options: str, path: str | None = None
) -> tuple[int, list[str], str]:
    """Exit code, findings, and everything: without --cores, in a directory of its own."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--directory", str(directory), "--workflow-profile", str(ROOT / "profiles/default")),
            *options,
            *("--", "preflight"),
        ],
        cwd=ROOT,
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


def test_a_sound_study(workspace: Path) -> None:
    code, findings, output = preflight(workspace, "--configfile", str(workspace / "study.yaml"))
    assert code == 0, output
    assert not [line for line in findings if line.startswith("error")]
    rows = {line.split()[0]: line for line in output.splitlines() if "  ok  " in line}
    assert {"config", "data", "suites", "models", "chat", "plan", "disk", "cluster"} <= set(rows)
    assert "jobs" in rows["plan"] and "GB free at" in rows["disk"]
    # It looked, and did nothing: no result, and no record of a run that others would wait for.
    assert {path.name for path in workspace.iterdir()} == {
        *("study.yaml", "given", "train.jsonl", "test.jsonl", "own.jsonl", ".snakemake"),
    }
    assert not (workspace / ".snakemake/drivers").exists()
    assert not list((workspace / ".snakemake/locks").glob("*"))


def test_relative_paths_beside_a_directory(workspace: Path) -> None:
    """Snakemake goes to `--directory` first; the plan's process must look from where it was called.

    The Snakefile of these calls is relative, and so is the config file.
    """
    config = workspace / "elsewhere"
    config.mkdir()
    (workspace / "study.yaml").rename(config / "study.yaml")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--configfile", "study.yaml"),
            *("--snakefile", os.path.relpath(ROOT / "Snakefile", config), "--directory", ".."),
            *("--workflow-profile", str(ROOT / "profiles/default"), "--", "preflight"),
        ],
        cwd=config,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(line.startswith("plan ") and " jobs" in line for line in done.stdout.splitlines())


def test_all_that_is_wrong_is_told_in_one_run(workspace: Path) -> None:
    """A mistake in the config is told by itself; then a column, a template, a weight, a file."""
    config = copy.deepcopy(material.CONFIG)
    config["sft"]["learning_rat"] = 1.0
    config.setdefault("merging", {})["shard_byte"] = 1
    write(workspace, config)
    code, findings, output = preflight(workspace, "--configfile", str(workspace / "study.yaml"))
    assert code == 1
    assert "study.yaml: sft: unknown key 'learning_rat'; did you mean 'learning_rate'?" in output
    assert "study.yaml: merging: unknown key 'shard_byte'" in output and not findings

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
    code, findings, output = preflight(workspace, "--configfile", str(workspace / "study.yaml"))
    assert code == 1
    for words in (
        "sources.test.path: tset.jsonl does not exist",
        "train.jsonl:1: no column 'solution'",
        "did you mean 'solutoin'?",
        "t.jinja:1: models.untied.chat_template: cannot be rendered",
        "model.safetensors: truncated",
    ):
        assert sum(words in line for line in findings) == 1, (words, output)
    assert not (workspace / "results").exists()


def test_disk_against_the_real_plan(workspace: Path) -> None:
    """Models of a trillion weights: no disk here holds what training them writes."""
    config = copy.deepcopy(material.CONFIG)
    for model in config["models"].values():
        model["parameters"] = 10**15
    write(workspace, config)
    code, findings, output = preflight(workspace, "--configfile", str(workspace / "study.yaml"))
    assert code == 1
    assert any("results: results: peak" in line and "fewer models" in line for line in findings), (
        output
    )


def test_slurms_limits_by_the_profile(workspace: Path, tmp_path: Path) -> None:
    """The paper's study under our Slurm profile, where partitions are too short and too small."""
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
        workspace,
        *("--configfile", str(ROOT / "config/config.yaml"), "--profile", str(ROOT / "slurm")),
        path=f"{programs}:{os.environ['PATH']}",
    )
    for words in (
        "rule sft will ask for",
        "partition 'gpu' allows 60; set longest_hours: 1",
        "partition 'gpu': rule sft will ask for 4 GPUs on a node, its nodes have 2",
        "partition 'cpu' allows 5",
        "the largest has 1,000; name another partition (--set-resources merge:",
    ):
        assert any(words in line for line in findings), (words, output)
    assert not any("rule snapshot" in line or "rule fetch" in line for line in findings)


def test_the_papers_study_takes_seconds(workspace: Path) -> None:
    """Processor time, as other processes' work is not ours; the page has times by the clock."""
    (workspace / "resources").symlink_to(ROOT / "resources")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, findings, output = preflight(workspace, "--configfile", str(ROOT / "config/config.yaml"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert spent < 30, (spent, output)
    assert "5 models, 2 tasks, 5 suites, 145 recipes" in output
    # A disk that is too small for the paper's study is all that may be wrong here.
    errors = [line for line in findings if line.startswith("error")]
    assert code == bool(errors) and all("results: results: peak" in line for line in errors)
