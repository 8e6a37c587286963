"""Which merged weights stay, how deleted ones come back, and which merge wins a sweep."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures import checkpoints as material
from fixtures.report_study import results
from mixmerge.artifacts.manifest import MANIFEST, read_manifest, write_manifest
from mixmerge.config.load import parse_config
from mixmerge.core.errors import UserError
from mixmerge.merge.execution import merge
from mixmerge.merge.recipe import render_recipe
from mixmerge.merge.record import differing, write_record
from mixmerge.merge.settings import RecipeSettings
from mixmerge.report.settings import Layout
from mixmerge.study import retention as keeping
from mixmerge.study.layout import layout_of
from mixmerge.study.plan import Study


@pytest.fixture(scope="module")
def demo(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "config/demo.yaml").read_text(encoding="utf-8"))


def study_of(demo: dict[str, Any], **merging: Any) -> Study:
    return Study(parse_config(demo | {"merging": demo["merging"] | merging}, "demo"))


def test_only_merged_weights_lie_apart_from_their_manifest(demo: dict[str, Any]) -> None:
    study = study_of(demo)
    merged = study.weights("qwen2-small", "ties-w0.3")
    assert merged == "results/demo/merged/qwen2-small/ties-w0.3"
    assert study.temporary("qwen2-small", "ties-w0.3") == [merged]
    assert study.statistics_of_merge("qwen2-small", "ties-w0.3") == [
        "results/demo/weights/qwen2-small/ties-w0.3.json"
    ]
    for trained in ("base", "sft-codegen-p100", "mix-p100"):
        assert study.weights("qwen2-small", trained).startswith("results/demo/checkpoints/")
        assert study.temporary("qwen2-small", trained) == []
        assert study.statistics_of_merge("qwen2-small", trained) == []


def test_what_is_kept(demo: dict[str, Any]) -> None:
    models, strategies = ("qwen2-small", "llama-small"), ("linear", "ties", "dare", "della")
    pairs = [(model, strategy) for model in models for strategy in strategies]
    assert keeping.winners(study_of(demo)) == pairs
    for other in ("all", "none"):
        assert keeping.winners(study_of(demo, keep=other)) == []
    trained = keeping.kept(study_of(demo))
    assert len(trained) == 2 * 8 and not any("merged" in path for path in trained)
    everything = keeping.kept(study_of(demo, keep="all"))
    assert len(everything) == 2 * (8 + 12) and set(trained) < set(everything)
    with pytest.raises(UserError, match="keep"):
        study_of(demo, keep="some")


def test_remains_of_deleted_weights_are_dropped_and_whole_weights_stay(
    demo: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = study_of(demo)
    names = ("ties-w0.3", "ties-w0.5", "ties-w0.7")
    whole, partly, unlisted = (Path(study.weights("qwen2-small", name)) for name in names)
    for folder in (whole, partly, unlisted):
        folder.mkdir(parents=True)
        for file in ("a", "b"):
            (folder / file).write_text(file)
        write_manifest(folder, "checkpoint")
    (partly / "a").unlink()
    (unlisted / MANIFEST).unlink()
    written = whole.with_name(".ties-w0.9.host.1.tmp")
    written.mkdir()
    assert keeping.drop_remains(study) == [partly, unlisted]
    assert whole.exists() and written.exists()
    assert not partly.exists() and not unlisted.exists()


@pytest.mark.parametrize("select", ["validation", "test"])
def test_the_winner_is_the_tables_choice(demo: dict[str, Any], select: str) -> None:
    study = study_of(demo | {"tables": {"select": select}})
    layout = layout_of(study.config, study.variants)
    model = layout.model("qwen2-small")
    columns = {role: [c.key for c in layout.columns_of(role)] for role in ("test", "validation")}
    # The test suites prefer the last ratio, the validation suites the first.
    special = {("ties-w0.3", key): 0.9 for key in columns["validation"]}
    special |= {("ties-w0.7", key): 0.9 for key in columns["test"]}
    wanted = {pick.strategy: pick.name for pick in results(layout, special).chosen(model)}
    assert wanted["ties"] == {"validation": "ties-w0.3", "test": "ties-w0.7"}[select]
    for strategy, name in wanted.items():
        told = keeping.winner_layout(study, layout, model.key, str(strategy))
        alone = Layout.model_validate(json.loads(json.dumps(told)))
        read = {v.name for v in alone.models[0].variants}
        assert read == set(keeping.contenders(study, layout, model.key, str(strategy)))
        assert [v.name for v in results(alone, special).chosen(alone.models[0])] == [name]


def test_no_printed_name_decides_a_winner(demo: dict[str, Any]) -> None:
    def told(data: dict[str, Any]) -> dict[str, Any]:
        study = study_of(data)
        layout = layout_of(study.config, study.variants)
        return keeping.winner_layout(study, layout, "qwen2-small", "ties")

    renamed = json.loads(json.dumps(demo))
    renamed["title"] = "Another title"
    for section in ("models", "tasks", "strategies", "suites"):
        for entry in renamed[section].values():
            entry["title"] = "Another"
    assert told(renamed) == told(demo)
    renamed["tables"]["select"] = "test"
    assert told(renamed) != told(demo)


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a recipe of DARE, which draws random masks, its merge and its record."""
    root = material.family_of_checkpoints(tmp_path_factory.mktemp("m"), "llama", 2, shards=2)
    settings: dict[str, Any] = {
        "method": "dare_linear",
        "model_parameters": {"density": 0.5},
        "weights": {"one": 0.5, "two": 0.5},
        "base": str(root / "base"),
        "specialists": {"one": str(root / "a"), "two": str(root / "b")},
    }
    (root / "r.yaml").write_text(render_recipe(RecipeSettings.model_validate(settings)))
    merge(root / "r.yaml", root / "weights", seed=7, shard_bytes=50_000)
    write_record(root / "weights", root / "record")
    return root


@pytest.mark.slow
def test_a_winner_that_is_there_is_not_merged_again(
    root: Path, merged: Path, demo: dict[str, Any]
) -> None:
    data = demo | {"models": {"tiny": demo["models"]["qwen2-small"]}}
    data["strategies"] = {"dare": demo["strategies"]["dare"] | {"ratios": [0.3, 0.5]}}
    study = study_of(data)
    layout = layout_of(study.config, study.variants)
    shelf = merged / "shelf"
    for variant in keeping.contenders(study, layout, "tiny", "dare"):
        # dare-w0.5 is the best.
        value = 0.9 if variant == "dare-w0.5" else 0.5
        entry = {"n": 4, "stopped": 1.0}
        found: dict[str, Any] = {suite.key: entry | {"metrics": {}} for suite in layout.suites}
        for column in layout.columns:
            found[column.suite]["metrics"][column.metric] = value
        path = shelf / "scores/tiny" / variant / "scores.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(found))
    told = json.dumps(keeping.winner_layout(study, layout, "tiny", "dare"))
    out = merged / "winners/dare"
    command = [sys.executable, str(root / "workflow/scripts/winner.py"), "--layout", told]
    command += ["--shelf", str(shelf), "--seed", "7", "--out", str(out)]
    command += ["--recipes", "dare-w0.3=/nowhere", f"dare-w0.5={merged / 'r.yaml'}"]
    command += ["--records", "dare-w0.3=/nowhere", f"dare-w0.5={merged / 'record'}"]

    def run() -> float:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        manifest = read_manifest(out, "checkpoint")
        assert manifest["facts"]["variant"] == "dare-w0.5"
        assert manifest["facts"]["strategy"] == "dare"
        assert differing(out, merged / "record") is None
        return min(out.glob("*.safetensors")).stat().st_mtime

    first = run()
    (out / MANIFEST).unlink()  # as Snakemake does before it starts the job again
    assert run() == first
    min(out.glob("*.safetensors")).unlink()
    assert run() > first
