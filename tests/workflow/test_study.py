"""The shrunken study end to end: every stage ran for real, and a second run has nothing to do."""

import csv
import json
import re
from pathlib import Path

import pytest

from fixtures.workspace import Workspace
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.config.load import load_config
from mixmerge.merge.recipe import differing
from mixmerge.report import layout as entries
from mixmerge.study.layout import layout_of
from mixmerge.study.plan import Study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(finished: Workspace) -> Study:
    return Study(load_config(finished.path / "study.yaml"))


@pytest.fixture(scope="module")
def results(finished: Workspace) -> Path:
    return finished.path / "results" / "shrunken"


def test_every_checkpoint_is_whole_and_has_completions_and_scores(
    study: Study, results: Path
) -> None:
    assert len(study.checkpoints()) == 7
    suites = set(study.config.suites)
    for model, variant in study.checkpoints():
        # The manifest of a merge stays, its weights do not.
        kept = results / "checkpoints" / model / variant
        merged = study.variants[model][variant].kind == "merge"
        listed = json.loads((kept / "manifest.json").read_text())
        manifest = listed if merged else read_manifest(kept, "checkpoint")
        assert any(name.endswith(".safetensors") for name in manifest["files"])
        read_manifest(results / "completions" / model / variant, "completions")
        scores = json.loads((results / "scores" / model / variant / "scores.json").read_text())
        assert set(scores) == suites
        for values in scores.values():
            assert all(0 <= value <= 1 for value in values["metrics"].values())


def test_training_moved_the_weights_and_merges_lie_between(results: Path) -> None:
    def distance(variant: str) -> float:
        return json.loads((results / f"weights/qwen2-small/{variant}.json").read_text())["total"][
            "l2"
        ]

    specialists = [distance("sft-codegen-p100"), distance("sft-codesum-p100")]
    assert min(specialists) > 0
    # A weighted mean of two updates is no longer than the longer of them (triangle inequality).
    assert 0 < distance("linear-w0.3") <= max(specialists)


def test_of_the_merges_each_sweeps_winner_is_kept(study: Study, results: Path) -> None:
    assert not list((results / "merged").rglob("*.safetensors"))
    for model, strategy in study.winners():
        kept = results / "winners" / model / strategy
        facts = read_manifest(kept, "checkpoint")["facts"]
        assert study.variants[model][facts["variant"]].strategy == strategy
        assert differing(kept, results / "checkpoints" / model / facts["variant"]) is None
    with (results / "tables/table3-strategies.csv").open(newline="") as file:
        printed = {row["variant"] for row in csv.DictReader(file)}
    names = {
        read_manifest(path.parent)["facts"]["variant"]
        for path in results.glob("winners/qwen2-small/*/manifest.json")
    }
    assert names <= printed


def test_tables_hold_the_scores(study: Study, results: Path) -> None:
    layout = layout_of(study)
    for name in [*entries.table_files(layout), *entries.VERDICT_FILES, *entries.TIMING_FILES]:
        assert (results / "tables" / name).stat().st_size > 0, name
    for name in entries.figure_files(layout):
        assert (results / "figures" / name).stat().st_size > 1000, name
    scores = json.loads((results / "scores/qwen2-small/base/scores.json").read_text())
    bleu = scores["summaries"]["metrics"]["bleu4"]
    with (results / "tables/table3-strategies.csv").open(newline="") as file:
        text = json.dumps(list(csv.DictReader(file)))
    assert repr(bleu) in text or f"{bleu:.6g}"[:8] in text


def test_every_job_left_a_log_and_its_time(study: Study, results: Path) -> None:
    per_rule = {"sft": 3, "merge": 3, "generate": 7, "score": 7, "layers": 3}
    per_rule |= {"merged_layers": 3, "winner": 2}
    for rule, count in per_rule.items():
        assert len(list((results / "logs" / rule).rglob("*.log"))) == count, rule
        assert len(list((results / "benchmarks" / rule).rglob("*.tsv"))) == count, rule
    with (results / "tables/timing.csv").open(newline="") as file:
        rules = {row[next(iter(row))] for row in csv.DictReader(file)}
    assert {"pretrain", "sft", "merge", "generate", "score"} <= rules


def test_provenance_leads_from_a_score_to_the_rows(results: Path) -> None:
    """Follow inputs recorded with checksums from the scores of a merge to the training rows."""
    seen, pending = set(), [results / "scores/qwen2-small/ties-w0.3/manifest.json"]
    while pending:
        manifest = pending.pop()
        provenance = manifest.parent / "provenance.json"
        if manifest in seen or not provenance.exists():
            continue
        seen.add(manifest)
        for path in json.loads(provenance.read_text())["inputs"]:
            pending.append(results.parents[1] / path)
    reached = {str(path.parent.relative_to(results)) for path in seen if results in path.parents}
    for place in (
        "completions/qwen2-small/ties-w0.3",
        "checkpoints/qwen2-small/ties-w0.3",
        "checkpoints/qwen2-small/sft-codegen-p100",
        "checkpoints/qwen2-small/base",
        "data/sets/codesum-p100",
        "data/sources/functions-to-write",
        "data/corpus",
    ):
        assert place in reached, sorted(reached)


def test_a_lost_checkpoint_comes_back_with_the_same_bytes(
    finished: Workspace, tmp_path: Path
) -> None:
    copy = finished.copy_to(tmp_path / "copy")
    places = [
        copy.path / "results/shrunken/checkpoints/qwen2-small" / name / "manifest.json"
        for name in ("sft-codegen-p100", "ties-w0.3")
    ]
    before = [place.read_bytes() for place in places]
    for place in places:
        place.unlink()
    result = copy.snakemake(*(str(place.relative_to(copy.path)) for place in places))
    assert result.returncode == 0, result.stdout + result.stderr
    assert [place.read_bytes() for place in places] == before


def test_a_touched_copy_has_nothing_to_do_but_an_html_report(
    finished: Workspace, tmp_path: Path
) -> None:
    copy, report = finished.copy_to(tmp_path / "copy"), tmp_path / "report.html"
    for manifest in copy.path.rglob("manifest.json"):
        manifest.touch()
    result = copy.snakemake("all")
    assert "Nothing to be done" in result.stdout + result.stderr and result.returncode == 0
    result = copy.snakemake("--report", str(report), "all")
    assert result.returncode == 0, result.stdout + result.stderr
    text = report.read_text(encoding="utf-8")
    for word in ("Tables", "Figures", "Verdict", "Table 3", "Figure 2"):
        assert word in text
    assert re.search(r"specialists|specialist", text)
