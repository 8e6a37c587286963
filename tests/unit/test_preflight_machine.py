"""Preflight on a machine: disk, GPUs, sandbox, WordNet, software, and what Slurm says of itself."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import preflight_material as material
from mixmerge.config.load import parse_config
from mixmerge.manifest import write_manifest
from mixmerge.preflight import cluster, machine, software
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area
from mixmerge.study.dialect import Dialect
from mixmerge.study.plan import Study

Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return material.sound(tmp_path)


def context(config: Config, **more: Any) -> Context:
    study = Study(parse_config(config, "study.yaml"))
    return Context("study.yaml", config, study, material.ROOT, **more)


def only(area: Area, level: str = "error") -> str:
    """The only finding, of this level."""
    assert [finding.level for finding in area.findings] == [level], area.findings
    return area.findings[0].text


def planned(**more: Any) -> dict[str, Any]:
    found = {"jobs": 1, "peak_mb": 1, "final_mb": 1, "stages": {"merge": 1}, "rules": {}}
    return found | more


def test_room_on_disk(config: Config) -> None:
    assert "GB free at" in machine.disk(context(config, planned=planned())).checked[0]
    found = only(machine.disk(context(config, planned=planned(peak_mb=10**9))))
    assert "results: results: peak 1,000,000.0 GB" in found and "merged=1" in found
    free = os.statvfs(".").f_bavail * os.statvfs(".").f_frsize // 1_000_000
    near = machine.disk(context(config, planned=planned(peak_mb=int(free * 0.95))))
    assert "make more room" in only(near, "warning")
    assert "there is no plan" in machine.disk(context(config)).unchecked[0]


def test_results_that_cannot_be_written(config: Config) -> None:
    config["results"] = "own.jsonl/results"
    found = only(machine.disk(context(config, planned=planned())))
    assert "own.jsonl cannot be written to; name another directory" in found


def test_models_too_large_for_a_gpu(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    config["hardware"] = {"device": "gpu", "gpu_memory_gb": 24}
    config["models"]["tied"]["parameters"] = 70_000_000_000
    config["models"]["untied"]["parameters"] = 100_000
    area = machine.gpu(replace(context(config), executor="slurm"))
    assert [finding.level for finding in area.findings] == ["warning", "error"]
    training, generation = (finding.text for finding in area.findings)
    assert "models.tied.sft, training set codegen: processes: 1 GPU of 24 GB may not" in training
    assert "models.tied: its weights take 140 GB" in generation and "24 GB" in generation
    assert "jobs run with slurm" in area.unchecked[0]


def test_gpus_of_this_machine(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    config["hardware"] = {"device": "gpu"}
    config["sft"]["processes"] = 4
    for model in config["models"].values():
        model["parameters"] = 100_000
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    # Whichever build of torch is installed here: jobs bring their own.
    area = machine.gpu(replace(context(config), deployed=True))
    assert [finding.level for finding in area.findings] == ["error", "error"]
    assert "sft.processes: 4 GPUs for training set codegen, but this machine shows 2" in (
        area.findings[0].text
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = only(machine.gpu(context(config)), "warning")
    assert "hardware.device: 'gpu', but this machine shows none" in found
    config["hardware"]["device"] = "cpu"
    assert machine.gpu(context(config)).result == "ok"


def test_the_sandbox_is_really_tried(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    area = machine.sandbox(context(config))
    assert not area.findings and any("works here" in text for text in area.checked)
    monkeypatch.setenv("MIXMERGE_SANDBOX", "docker")
    assert "MIXMERGE_SANDBOX=docker" in only(machine.sandbox(context(config)))
    del config["suites"]["own"]
    config["tasks"]["codegen"]["title"] = "x"
    config["suites"]["other"] = {**config["suites"]["summaries"], "task": "codegen"}
    assert machine.sandbox(context(config)).checked == ["no suite runs generated programs"]


def test_wordnet(config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert machine.wordnet(context(config)).checked == ["no suite is scored with METEOR"]
    config["suites"]["summaries"]["metrics"] = ["meteor"]
    shared = tmp_path / "shared"
    (shared / "corpora/wordnet").mkdir(parents=True)
    monkeypatch.setenv("NLTK_DATA", str(shared))
    assert machine.wordnet(context(config)).checked[0].startswith(str(shared))
    shared.chmod(0o777)
    assert f"run `chmod -R o-w {shared}`" in only(machine.wordnet(context(config)))
    published = Path("results/nltk_data")
    published.mkdir(parents=True)
    (published / "words").write_text("ab")
    write_manifest(published, "nltk_data")
    assert machine.wordnet(context(config)).checked == ["results/nltk_data"]
    (published / "words").write_text("ac")
    assert "words: its SHA-256 is" in only(machine.wordnet(context(config)))


def test_software_against_the_lock(config: Config, tmp_path: Path) -> None:
    assert software.check(context(config)).result in ("ok", "1 warning")
    (tmp_path / "envs").mkdir()
    lock = tmp_path / "envs/requirements.lock"
    lock.write_text("numpy==0.0.1\nno-such-thing==1.0\nPyYAML==0.1 # both ways to spell it\n")
    area = software.check(replace(context(config), repository=tmp_path))
    error, warning = (finding.text for finding in area.findings)
    assert "no-such-thing==1.0 is not installed" in error and "make setup" in error
    assert "numpy" in warning and "(lock: 0.0.1)" in warning and "pyyaml" in warning
    lock.unlink()
    assert software.check(replace(context(config), repository=tmp_path)).result == "not checked"


SINFO = """\
cpu|up|infinite|64000|(null)
cpu|up|infinite|128000+|(null)
gpu|up|1-00:00:00|512000|gpu:h100:4(S:0-1)
short|up|30:00|64000|gpu:2,mps:200
old|drain|1:00:00|64000|(null)
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A login node: sinfo, which prints a file, and sbatch, which must not be called."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "answer").write_text(SINFO)
    (programs / "sinfo").write_text(f"#!/bin/sh\nexec cat {programs}/answer\n")
    (programs / "sbatch").write_text("#!/bin/sh\nexit 9\n")
    for name in ("sinfo", "sbatch"):
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs


def on_slurm(config: Config, **most: dict[str, int]) -> Area:
    """The cluster's area for a plan with these largest jobs, under a profile like ours."""
    words = {"slurm_partition": "cpu", "gpu_job_slurm_partition": "gpu"}
    empty = dict.fromkeys(("runtime", "mem_mb", "gpu", "gpu_count", "nodes"), 0)
    rules = {rule: empty | asked for rule, asked in most.items()}
    return cluster.check(
        context(
            config,
            executor="slurm",
            words=words,
            dialect=Dialect(words),
            planned=planned(rules=rules),
        )
    )


def test_jobs_within_the_partitions(config: Config, slurm: Path) -> None:
    area = on_slurm(
        config,
        sft={"runtime": 1440, "mem_mb": 512000, "gpu": 4},
        score={"runtime": 10**5, "mem_mb": 128000},
        # It runs on the login node.
        snapshot={"runtime": 10**5, "mem_mb": 10**6},
    )
    assert not area.findings and area.result == "ok"


@pytest.mark.parametrize(
    ("most", "words"),
    [
        ({"runtime": 1441, "gpu": 1}, ["hardware.longest_hours: rule sft will ask", "hours: 24"]),
        ({"runtime": 9, "gpu": 1, "mem_mb": 512001}, ["512,001 MB", "has 512,000"]),
        ({"runtime": 9, "gpu_count": 8}, ["8 GPUs on a node, its nodes have 4"]),
        ({"runtime": 9, "mem_mb": 128001}, ["partition 'cpu'", "has 128,000"]),
    ],
)
def test_jobs_that_no_node_would_take(
    config: Config, slurm: Path, most: dict[str, int], words: list[str]
) -> None:
    found = only(on_slurm(config, sft=most))
    for word in words:
        assert word in found
    # Over enough nodes they fit.
    if "gpu_count" in most:
        assert not on_slurm(config, sft={**most, "nodes": 2}).findings


def test_partitions_that_are_not_there(config: Config, slurm: Path) -> None:
    (slurm / "answer").write_text("cpu|drain|infinite|64000|(null)\nbig|up|infinite|64000|(null)\n")
    texts = [finding.text for finding in on_slurm(config).findings]
    assert len(texts) == 2
    assert "slurm_partition: partition 'cpu' is not up" in texts[0]
    assert "gpu_job_slurm_partition: Slurm has no partition 'gpu'; it has big, cpu" in texts[1]


def test_a_slurm_that_does_not_answer(config: Config, slurm: Path) -> None:
    (slurm / "sinfo").write_text("#!/bin/sh\nexit 1\n")
    area = on_slurm(config)
    assert not area.findings and "sinfo gave no answer" in area.unchecked[0]
    (slurm / "sbatch").unlink()
    if not any(Path(folder, "sbatch").exists() for folder in ("/usr/bin", "/bin")):
        assert "run on a login node" in only(on_slurm(config))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("infinite", None),
        ("30:00", 30),
        ("90", 90),
        ("2:00:00", 120),
        ("1-00:00:00", 1440),
        ("2-12", 3600),
        ("1-01:30", 1530),
    ],
)
def test_time_limits(limit: str, expected: int | None) -> None:
    assert cluster.minutes(limit) == expected


def test_local_rules_are_those_of_the_workflow() -> None:
    found = set()
    for file in (material.ROOT / "rules").glob("*.smk"):
        for block in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            if re.search(r"^ {4}localrule: True", block, re.MULTILINE):
                found.add(block.partition(":")[0])
    assert found - {"preflight", "verify"} == cluster.LOCAL


def test_nothing_heavy_is_imported(config: Config, tmp_path: Path) -> None:
    """A whole preflight but for the plan, in a process of its own."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    program = (
        "import json, sys; sys.path[:0] = sys.argv[1:]; import preflight_material as m\n"
        "areas = m.looked(json.load(open('config.json')))\n"
        "assert not m.errors(areas), m.errors(areas)\n"
        "heavy = {'torch', 'transformers', 'mergekit', 'trl', 'datasets', 'nltk', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    paths = [str(material.ROOT / "tests"), str(material.ROOT / "src")]
    done = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stdout + done.stderr
