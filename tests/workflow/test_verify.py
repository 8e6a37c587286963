"""Verification of a finished study: what rotted, was edited or lost is named, and mended."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.workspace import ROOT, Workspace
from mixmerge.config.load import load_config
from mixmerge.core.io import sha256
from mixmerge.study.plan import Study
from mixmerge.verify.verify import Verdict, rendered, verify

pytestmark = pytest.mark.slow

STUDY = Path("results/shrunken")
MODEL = "qwen2-small"
RECORDS = ("manifest.json", "provenance.json")


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    return finished.copy_to(tmp_path / "copy")


def look(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> tuple[Verdict, dict[str, list[str]]]:
    """The verdict on a study, and its faults by path."""
    monkeypatch.chdir(workspace.path)
    verdict = verify(Study(load_config(Path("study.yaml"))), "--configfile study.yaml")
    faults: dict[str, list[str]] = {}
    for fault in verdict.faults:
        faults.setdefault(fault.partition(": ")[0], []).append(fault)
    return verdict, faults


def rot(file: Path) -> None:
    """Flip one bit and leave the times as they were."""
    before = file.stat()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit(file: Path) -> None:
    """Change a letter, as an editor would: the time is today's."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] = ord("#")
    file.write_bytes(data)
    os.utime(file, (2e9, 2e9))


def edit_with_manifest(folder: Path, name: str) -> None:
    """Change a file and put its new digest into the manifest."""
    rot(folder / name)
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"][name]["sha256"] = sha256(folder / name)
    manifest.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def change_weight(recipe: Path) -> None:
    text = recipe.read_text()
    assert "weight: 0.3" in text
    recipe.write_text(text.replace("weight: 0.3", "weight: 0.4", 1))


def count_one_row_more(manifest: Path) -> None:
    """A fact of a manifest that no record beside it witnesses, changed as rot does: no new time."""
    before = manifest.stat()
    text = manifest.read_text()
    more = re.sub(r'"rows": (\d+)', lambda found: f'"rows": {int(found[1]) + 1}', text)
    assert more != text
    manifest.write_text(more)
    os.utime(manifest, ns=(before.st_atime_ns, before.st_mtime_ns))


def bring_merge_back(study: Path) -> Path:
    """A merge's weights where they lay before they were deleted: a winner's are the same."""
    winner = study / "winners" / MODEL / "ties"
    target = study / "merged" / MODEL / "ties-w0.3"
    shutil.copytree(winner, target)
    shutil.copyfile(
        study / "checkpoints" / MODEL / "ties-w0.3/manifest.json", target / "manifest.json"
    )
    return target


def test_a_finished_study_is_sound(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = times(finished)
    verdict, faults = look(finished, monkeypatch)
    assert not faults
    output = rendered(verdict, 3)
    assert "deleted on purpose  weights of 3 merges" in output
    assert re.search(
        r"sound .*\d figures.*1 statistics, .*\d tables, 4 timing, .*10 verdict", output
    )
    assert re.search(r"\d{3} files, .* GB read in 3 s; \d+ results as they were made", output)
    assert times(finished) == before


def times(workspace: Workspace) -> dict[Path, int]:
    """When each file of the results was written."""
    files = (workspace.path / "results").rglob("*")
    return {path: path.stat().st_mtime_ns for path in files}


def test_everything_that_changed_is_named_in_one_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = workspace.path / STUDY
    weights = study / "checkpoints" / MODEL / "sft-codegen-p100/model.safetensors"
    completions = study / "completions" / MODEL / "base/functions.jsonl"
    rows = study / "data/sets/mix-p100/train.jsonl"
    scores = study / "scores" / MODEL / "base/scores.json"
    layers = study / "weights" / MODEL / "sft-codesum-p100.json"
    recipe = study / "recipes" / MODEL / "linear-w0.3.yaml"
    both = study / "checkpoints" / MODEL / "mix-p100"
    told = study / "checkpoints" / MODEL / "sft-codesum-p100/provenance.json"
    tokenizer = study / "checkpoints" / MODEL / "base/tokenizer.json"
    winner = study / "winners" / MODEL / "linear/notes.txt"
    split = study / "data/split/codegen/manifest.json"
    record = study / "checkpoints" / MODEL / "linear-w0.7/manifest.json"
    merged = bring_merge_back(study) / "tokenizer.json"
    table = study / "tables/verdict.csv"
    figure = study / "figures/figure2-distance.png"
    counts = study / "data/statistics.json"
    facts = study / "data/sources/functions-to-write/manifest.json"
    truth = study / "groundtruth/functions"
    linked = min(path for path in truth.iterdir() if path.name not in RECORDS)

    rot(weights)
    edit(table)
    rot(figure)
    counts.unlink()
    count_one_row_more(facts)
    linked.rename(workspace.path / "elsewhere")
    linked.symlink_to(workspace.path / "elsewhere")
    edit(completions)
    rows.write_bytes(rows.read_bytes()[:-40])
    scores.unlink()
    rot(layers)
    change_weight(recipe)
    edit_with_manifest(both, "tokenizer.json")
    rot(told)
    edit(tokenizer)
    winner.write_text("keep this one")
    split.unlink()
    record.write_bytes(b"\xff" + record.read_bytes()[1:])
    rot(merged)

    _, faults = look(workspace, monkeypatch)
    expected: dict[Path, str] = {
        weights: "rotted: no time says it was written; its SHA-256 is",
        completions: "edited on 2033-05-18",
        rows: "cut off or damaged",
        scores: "missing, but",
        layers: "is not what its job wrote",
        recipe: "is neither what the configuration says nor what its merge was made from",
        both / "manifest.json": "is not the manifest that its job wrote (edited)",
        told: "is not what its job wrote",
        tokenizer: "edited on 2033-05-18",
        winner: "put there by hand",
        split: "lost: other results were made from it",
        record: "damaged",
        merged: "rotted",
        table: "edited on 2033-05-18",
        figure: "rotted: no time says it was written; its SHA-256 is",
        counts: "missing, but",
        facts: "is not the manifest that results were made from",
        linked: "is a symbolic link to",
    }
    assert faults.keys() == {str(path.relative_to(workspace.path)) for path in expected}
    for path, words in expected.items():
        [found] = faults[str(path.relative_to(workspace.path))]
        # A size that differs says so by itself; a cut file may also be one that was edited.
        assert words in found or (path == rows and "edited on" in found), found
        assert "delete " in found or "makes it again" in found
        assert path != weights or "(sft)" in found


def test_weights_that_the_config_keeps_are_missed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    config: dict[str, Any] = yaml.safe_load((workspace.path / "study.yaml").read_text())
    config["merging"] = {**config["merging"], "keep": "all"}
    workspace.write_config(config)
    verdict, _ = look(workspace, monkeypatch)
    assert len(verdict.faults) == 3
    assert all("lost: merging.keep is 'all'" in line for line in verdict.faults)
    assert all("all_checkpoints" in line for line in verdict.faults)


@pytest.mark.long
def test_the_way_out_leads_out(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `snakemake verify` says is done; then all is sound, and each file as it was."""
    places: dict[str, Callable[[Path], None]] = {
        f"uncertainty/{MODEL}.json": rot,
        f"recipes/{MODEL}/linear-w0.3.yaml": change_weight,
        "data/sets/codegen-p100/train.jsonl": edit,
        f"scores/{MODEL}/base/scores.json": rot,
        "tables/verdict.csv": edit,
    }
    whole = {place: (workspace.path / STUDY / place).read_bytes() for place in places}
    for place, spoil in places.items():
        spoil(workspace.path / STUDY / place)
    # As people type it: without --cores.
    snakemake = [sys.executable, "-m", "snakemake"]
    profile = ["--workflow-profile", str(ROOT / "profiles/default")]
    study = ["--directory", str(workspace.path), "--configfile", str(workspace.path / "study.yaml")]
    done = run(*snakemake, "--snakefile", str(ROOT / "Snakefile"), *study, *profile, "verify")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    faults = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert len(faults) == len(places), done.stdout
    targets = []
    for fault in faults:
        delete = re.search(r"delete (\S+?),? ", fault)
        command = re.search(r"`snakemake (.*?)`", fault)
        assert delete and command, fault
        (workspace.path / delete[1].rstrip(",")).unlink()
        *options, _, target = shlex.split(command[1])
        targets.append(target)
    again = [*snakemake, "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", *profile]
    done = run(*again, *options, "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {place: (workspace.path / STUDY / place).read_bytes() for place in places} == whole
    assert not look(workspace, monkeypatch)[1]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
