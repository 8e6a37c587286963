"""Which merge wins a sweep, and that a winner that is there is not merged again."""

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures import checkpoints as material
from fixtures.forks import run_script
from fixtures.report_study import results
from fixtures.studies import shipped, study_of
from mixmerge.artifacts.manifest import MANIFEST, read_manifest
from mixmerge.merge.execution import merge
from mixmerge.merge.recipe import differing, render_recipe, write_record
from mixmerge.merge.settings import RecipeSettings
from mixmerge.report.layout import Layout
from mixmerge.study.layout import contenders, layout_of, winner_layout

MODEL = "qwen2-small"


@pytest.mark.parametrize("select", ["validation", "test"])
def test_the_winner_is_the_tables_choice(select: str) -> None:
    layout = layout_of(study_of(shipped() | {"tables": {"select": select}}))
    model = layout.model(MODEL)
    columns = {role: [c.key for c in layout.columns_of(role)] for role in ("test", "validation")}
    # The test suites prefer the last ratio, the validation suites the first.
    special = {("ties-w0.3", key): 0.9 for key in columns["validation"]}
    special |= {("ties-w0.7", key): 0.9 for key in columns["test"]}
    wanted = {pick.strategy: pick.name for pick in results(layout, special).chosen(model)}
    assert wanted["ties"] == {"validation": "ties-w0.3", "test": "ties-w0.7"}[select]
    for strategy, name in wanted.items():
        given = winner_layout(layout, MODEL, str(strategy))
        alone = Layout.model_validate(json.loads(json.dumps(given)))
        read = {v.name for v in alone.models[0].variants}
        assert read == set(contenders(layout, MODEL, str(strategy)))
        assert [v.name for v in results(alone, special).chosen(alone.models[0])] == [name]


def test_no_printed_name_decides_a_winner() -> None:
    def given(data: dict[str, Any]) -> dict[str, Any]:
        return winner_layout(layout_of(study_of(data)), MODEL, "ties")

    demo, renamed = shipped(), shipped()
    renamed["title"] = "Another title"
    for section in ("models", "tasks", "strategies", "suites"):
        for entry in renamed[section].values():
            entry["title"] = "Another"
    assert given(renamed) == given(demo)
    renamed["tables"]["select"] = "test"
    assert given(renamed) != given(demo)


@pytest.mark.slow
def test_a_winner_that_is_there_is_not_merged_again(tmp_path: Path) -> None:
    """By a recipe of DARE, which draws random masks, its merge and its record."""
    family = material.family_of_checkpoints(tmp_path, "llama", 2, shards=2)
    settings: dict[str, Any] = {
        "method": "dare_linear",
        "model_parameters": {"density": 0.5},
        "weights": {"one": 0.5, "two": 0.5},
        "base": str(family / "base"),
        "specialists": {"one": str(family / "a"), "two": str(family / "b")},
    }
    (family / "r.yaml").write_text(render_recipe(RecipeSettings.model_validate(settings)))
    merge(family / "r.yaml", family / "weights", seed=7, shard_bytes=50_000)
    write_record(family / "weights", family / "record")
    data = shipped()
    data["models"] = {"tiny": data["models"][MODEL]}
    data["strategies"] = {"dare": data["strategies"]["dare"] | {"ratios": [0.3, 0.5]}}
    layout = layout_of(study_of(data))
    for variant in contenders(layout, "tiny", "dare"):
        value = 0.9 if variant == "dare-w0.5" else 0.5
        scores: dict[str, Any] = {
            suite.key: {
                "n": 4,
                "stopped": 1.0,
                "metrics": {c.metric: value for c in layout.columns if c.suite == suite.key},
            }
            for suite in layout.suites
        }
        path = family / "shelf/scores/tiny" / variant / "scores.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(scores))
    out = family / "winners/dare"
    arguments = [
        *("--layout", json.dumps(winner_layout(layout, "tiny", "dare")), "--seed", "7"),
        *("--shelf", family / "shelf", "--out", out),
        *("--recipes", "dare-w0.3=/nowhere", f"dare-w0.5={family / 'r.yaml'}"),
        *("--records", "dare-w0.3=/nowhere", f"dare-w0.5={family / 'record'}"),
    ]

    def run() -> float:
        done = run_script("winner.py", *arguments)
        assert done.returncode == 0, done.stderr
        facts = read_manifest(out, "checkpoint")["facts"]
        assert (facts["variant"], facts["strategy"]) == ("dare-w0.5", "dare")
        assert differing(out, family / "record") is None
        return min(out.glob("*.safetensors")).stat().st_mtime

    first = run()
    (out / MANIFEST).unlink()  # as Snakemake does before it starts the job again
    assert run() == first
    min(out.glob("*.safetensors")).unlink()
    assert run() > first
