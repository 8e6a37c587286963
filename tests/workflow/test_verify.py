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


def edit_with_manifest(manifest: Path) -> None:
    """Change a file and put its new digest into the manifest."""
    file = manifest.with_name("tokenizer.json")
    rot(file)
    content = json.loads(manifest.read_text())
    content["files"][file.name]["sha256"] = sha256(file)
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


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def link(file: Path) -> None:
    elsewhere = file.rename(file.parents[4] / "elsewhere")
    file.symlink_to(elsewhere)


def put_by_hand(file: Path) -> None:
    file.write_text("keep this one")


def garble(file: Path) -> None:
    file.write_bytes(b"\xff" + file.read_bytes()[1:])


def bring_back_and_rot(file: Path) -> None:
    """A merge's weights where they lay before they were deleted: a winner's are the same."""
    study = file.parents[3]
    shutil.copytree(study / "winners" / MODEL / "ties", file.parent)
    record = study / "checkpoints" / MODEL / "ties-w0.3/manifest.json"
    shutil.copyfile(record, file.with_name("manifest.json"))
    rot(file)


#: Place below the study's root -> what befalls it, and what is said then.
SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    f"checkpoints/{MODEL}/sft-codegen-p100/model.safetensors": (rot, "rotted: no time says"),
    f"completions/{MODEL}/base/functions.jsonl": (edit, "edited on 2033-05-18"),
    "data/sets/mix-p100/train.jsonl": (cut_off, "cut off or damaged"),
    f"scores/{MODEL}/base/scores.json": (Path.unlink, "missing, but"),
    f"weights/{MODEL}/sft-codesum-p100.json": (rot, "is not what its job wrote"),
    f"recipes/{MODEL}/linear-w0.3.yaml": (change_weight, "is not what the config"),
    f"checkpoints/{MODEL}/mix-p100/manifest.json": (edit_with_manifest, "job wrote (edited)"),
    f"checkpoints/{MODEL}/sft-codesum-p100/provenance.json": (rot, "rotted: no time"),
    f"checkpoints/{MODEL}/base/tokenizer.json": (edit, "edited on 2033-05-18"),
    f"winners/{MODEL}/linear/notes.txt": (put_by_hand, "put there by hand"),
    "data/split/codegen/manifest.json": (Path.unlink, "lost: other results were made from it"),
    f"checkpoints/{MODEL}/linear-w0.7/manifest.json": (garble, "damaged"),
    f"merged/{MODEL}/ties-w0.3/tokenizer.json": (bring_back_and_rot, "rotted"),
    "tables/verdict.csv": (edit, "edited on 2033-05-18"),
    "figures/figure2-distance.png": (rot, "says it was written; its SHA-256 is"),
    "data/statistics.json": (Path.unlink, "missing, but"),
    "data/sources/functions-to-write/manifest.json": (count_one_row_more, "is not the manifest"),
    "groundtruth/functions/tasks.jsonl": (link, "is a symbolic link to"),
}


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
    for place, (spoil, _) in SPOILED.items():
        spoil(workspace.path / STUDY / place)
    _, faults = look(workspace, monkeypatch)
    assert faults.keys() == {str(STUDY / place) for place in SPOILED}
    for place, (spoil, words) in SPOILED.items():
        [found] = faults[str(STUDY / place)]
        # A size that differs says so by itself; a cut file may also be one that was edited.
        assert words in found or (spoil is cut_off and "edited on" in found), found
        assert "delete " in found or "makes it again" in found
        assert not place.endswith("model.safetensors") or "(sft)" in found


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
