"""Some changes for real, on the shrunken study: what ran, and what ended at once."""

import json
from pathlib import Path

import pytest
from repository import copy_repository

from fixtures.rebuild import REPORT, Rebuild
from fixtures.workspace import Workspace

pytestmark = pytest.mark.long


@pytest.fixture
def study(finished: Workspace, tmp_path: Path) -> Rebuild:
    """A copy of the finished study, and of the repository."""
    (tmp_path / "repository").mkdir()
    copy_repository(tmp_path / "repository")
    return Rebuild(tmp_path / "repository", finished.copy_to(tmp_path / "workspace").path)


def run(study: Rebuild, *targets: str, arguments: tuple[str, ...] = ()) -> set[str]:
    """Run the workflow; the jobs that ran, by their log files."""
    logs = study.results / "logs"
    before = {path: path.stat().st_mtime_ns for path in logs.rglob("*.log")}
    study.snakemake("--cores", "2", *arguments, "--", *targets)
    return {
        path.relative_to(logs).as_posix().removesuffix(".log")
        for path in logs.rglob("*.log")
        if path.stat().st_mtime_ns != before.get(path)
    }


def log(study: Rebuild, job: str) -> str:
    return (study.results / "logs" / f"{job}.log").read_text(encoding="utf-8")


def test_one_ratio(study: Rebuild) -> None:
    config = study.read_config()
    config["strategies"]["ties"]["ratios"] = [0.3, 0.6]
    study.write_config(config)
    place = "qwen2-small/ties-w0.6"
    made = {f"{rule}/{place}" for rule in ("recipe", "merge", "generate", "score", "merged_layers")}
    assert run(study, "all") == made | REPORT | {
        "winner/qwen2-small/ties",
        "uncertainty/qwen2-small",
    }
    assert study.planned() == set()


def test_a_metrics_definition(study: Rebuild) -> None:
    """The scores change, and with them all that is read from them; no completion does."""
    study.change_code("src/mixmerge/evaluate/metrics.py")
    target = "results/shrunken/uncertainty/qwen2-small.json"
    variants = ("base", "sft-codegen-p100", "sft-codesum-p100", "mix-p100")
    variants += ("linear-w0.3", "linear-w0.7", "ties-w0.3")
    ran = run(study, target)
    # The definition gives the same numbers, so what weighs them ended at once.
    assert ran == {f"score/qwen2-small/{name}" for name in variants} | {"uncertainty/qwen2-small"}
    assert "made anew, because code changed" in log(study, "score/qwen2-small/base")
    assert "nothing to do" in log(study, "uncertainty/qwen2-small")


TARGETS = (
    "results/shrunken/checkpoints/qwen2-small/ties-w0.3/manifest.json",
    "results/shrunken/scores/qwen2-small/mix-p100/manifest.json",
)


def change_without_effect(study: Rebuild) -> None:
    """Another length of n-grams that drops the very same rows."""
    config = study.read_config()
    config["data"]["decontamination"]["ngram"] += 1
    study.write_config(config)


def files(study: Rebuild, place: str) -> dict[str, tuple[int, bytes]]:
    """Inode and content of a directory's files; the manifest is put back, the others stay."""
    found = {}
    for path in sorted((study.results / place).iterdir()):
        inode = 0 if path.name == "manifest.json" else path.stat().st_ino
        found[path.name] = (inode, path.read_bytes())
    return found


def test_what_comes_out_the_same_trains_nothing_in_the_same_run(study: Rebuild) -> None:
    places = ("checkpoints/qwen2-small/mix-p100", "scores/qwen2-small/mix-p100")
    before = [files(study, place) for place in places]
    real = study.results / "checkpoints/qwen2-small/.mix-p100.made"
    seconds = json.loads(real.read_text())["seconds"]
    change_without_effect(study)
    ran = run(study, *TARGETS)
    assert {"decontaminate/codegen", "mix/100", "sft/qwen2-small/mix-p100"} <= ran
    assert "made anew, because settings changed" in log(study, "decontaminate/codegen")
    for name in ("mix-p100", "sft-codegen-p100", "sft-codesum-p100"):
        assert "nothing to do" in log(study, f"sft/qwen2-small/{name}")
    for rule in ("generate", "score"):
        assert "nothing to do" in log(study, f"{rule}/qwen2-small/mix-p100")
    assert [files(study, place) for place in places] == before
    assert json.loads(real.read_text())["seconds"] == seconds


def test_what_comes_out_the_same_ends_there_between_two_runs(study: Rebuild) -> None:
    change_without_effect(study)
    # The report beside the rows names the length, so that the split is looked at, too.
    ran = run(study, "all", arguments=("--until", "split"))
    tasks = ("codegen", "codesum")
    assert ran == {f"{rule}/{task}" for rule in ("decontaminate", "split") for task in tasks}
    # No row changed; at most the numbers of Table 2 did.
    assert study.planned() <= REPORT | {"statistics"}
