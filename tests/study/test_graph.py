"""Names of checkpoints, weights and seeds, what stays, and what no wording of a prompt changes."""

from pathlib import Path
from typing import Any

import pytest

from fixtures.studies import shipped, study_of
from mixmerge.artifacts.manifest import MANIFEST, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.study.graph import task_weights, weight_label
from mixmerge.study.plan import without_wording

MODEL = "qwen2-small"


@pytest.fixture
def demo() -> dict[str, Any]:
    return shipped()


def test_demo_has_the_papers_shape(demo: dict[str, Any]) -> None:
    study = study_of(demo)
    names = list(study.variants[MODEL])
    assert names[:8] == [
        "base",
        *(f"sft-{task}-p{p}" for task in ("codegen", "codesum") for p in (25, 50, 100)),
        "mix-p100",
    ]
    assert names[8:11] == ["linear-w0.3", "linear-w0.5", "linear-w0.7"]
    counts = [len(study.checkpoints(*k)) for k in ((), ("sft", "mix"), ("merge",))]
    assert counts == [2 * (1 + 6 + 1 + 12), 14, 24]
    paper = study_of(shipped("config"))
    assert [len(paper.checkpoints(*k)) for k in ((), ("sft", "mix"), ("merge",))] == [181, 31, 145]


def test_weights_are_spelt_out_without_float_noise() -> None:
    assert task_weights(0.9, ["a", "b"]) == {"a": 0.9, "b": 0.1}
    assert task_weights({"b": 1, "a": 0}, ["a", "b"]) == {"a": 0.0, "b": 1.0}


def test_labels_tell_weights_apart() -> None:
    assert weight_label({"a": 0.3, "b": 0.7}) == "w0.3"
    assert weight_label({"a": 0.3, "b": 0.3}) == "w0.3-0.3"
    assert weight_label({"a": 0.2, "b": 0.3, "c": 0.5}) == "w0.2-0.3-0.5"


def test_three_tasks_take_a_weight_each(demo: dict[str, Any]) -> None:
    demo["tasks"]["third"] = dict(demo["tasks"]["codesum"])
    demo["suites"]["third"] = demo["suites"]["summaries"] | {"task": "third"}
    demo["suites"]["third-validation"] = demo["suites"]["third"] | {"role": "validation"}
    weights = {"codegen": 0.2, "codesum": 0.3, "third": 0.5}
    demo["strategies"] = {
        "ties": demo["strategies"]["ties"] | {"ratios": [weights]},
        "karcher": {"method": "karcher"},
    }
    study = study_of(demo)
    merges = [v for v in study.variants[MODEL].values() if v.kind == "merge"]
    assert [(v.name, v.weights) for v in merges] == [
        ("ties-w0.2-0.3-0.5", weights),
        ("karcher", None),
    ]
    settings = study.recipe_settings(MODEL, "ties-w0.2-0.3-0.5")
    assert list(settings["specialists"]) == ["codegen", "codesum", "third"]


def test_a_model_may_ask_for_fewer_merges(demo: dict[str, Any]) -> None:
    # Two ratios of one name are one merge.
    demo["models"][MODEL] |= {"strategies": {"dare": [0.3, 0.3000000001]}, "data_scale": [100]}
    found = study_of(demo).variants[MODEL]
    assert found["dare-w0.3"].weights == {"codegen": 0.3, "codesum": 0.7}
    assert list(found) == ["base", "sft-codegen-p100", "sft-codesum-p100", "mix-p100", "dare-w0.3"]


def test_seeds_differ_by_node_and_a_sweep_shares_its_masks(demo: dict[str, Any]) -> None:
    study = study_of(demo)
    assert study.seed("sft", "a", "b") != study.seed("sft", "a", "c")
    seeds = [study.merge_seed(MODEL, f"dare-w{ratio}") for ratio in (0.3, 0.7)]
    assert seeds[0] == seeds[1] != study.merge_seed("llama-small", "dare-w0.3")


def test_only_merged_weights_lie_apart_from_their_manifest(demo: dict[str, Any]) -> None:
    study = study_of(demo)
    merged = "results/demo/merged/qwen2-small/ties-w0.3"
    assert study.of_merge(study.weights, MODEL, "ties-w0.3") == [merged]
    for trained in ("base", "sft-codegen-p100", "mix-p100"):
        assert study.weights(MODEL, trained).startswith("results/demo/checkpoints/")
        assert study.of_merge(study.weights, MODEL, trained) == []


def test_what_is_kept(demo: dict[str, Any]) -> None:
    strategies = ("linear", "ties", "dare", "della")
    pairs = [(model, strategy) for model in (MODEL, "llama-small") for strategy in strategies]
    kept = {}
    for keep in ("winners", "all", "none"):
        demo["merging"]["keep"] = keep
        study = study_of(demo)
        assert study.winners() == (pairs if keep == "winners" else [])
        kept[keep] = set(study.kept())
    assert len(kept["winners"]) == 2 * 8 and not any("merged" in path for path in kept["winners"])
    assert len(kept["all"]) == 2 * (8 + 12) and kept["none"] == kept["winners"] < kept["all"]


def test_remains_of_deleted_weights_are_dropped_and_whole_weights_stay(
    demo: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = study_of(demo)
    names = ("ties-w0.3", "ties-w0.5", "ties-w0.7")
    whole, partly, unlisted = (Path(study.weights(MODEL, name)) for name in names)
    for folder in (whole, partly, unlisted):
        folder.mkdir(parents=True)
        for file in ("a", "b"):
            (folder / file).write_text(file)
        write_manifest(folder, "checkpoint")
    (partly / "a").unlink()
    (unlisted / MANIFEST).unlink()
    written = whole.with_name(".ties-w0.9.host.1.tmp")
    written.mkdir()
    assert study.drop_remains() == [partly, unlisted]
    assert whole.exists() and written.exists()
    assert not partly.exists() and not unlisted.exists()


def test_a_place_for_results_that_is_a_file_is_refused(
    demo: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(UserError, match=r"results: .* cannot be a folder, because .* is a file"):
        study_of(demo | {"results": str(tmp_path / "results")}).check_files()


def test_nothing_is_planned_that_no_suite_asks_for(demo: dict[str, Any]) -> None:
    assert study_of(demo).meteor_suites() == ["summaries", "summaries-validation"]
    assert study_of(demo).decontaminating_suites() == list(demo["suites"])
    demo["suites"]["summaries"]["metrics"] = ["bleu4"]
    demo["data"]["decontamination"] = {"enabled": False}
    study = study_of(demo)
    assert study.meteor_suites() == ["summaries-validation"]
    assert study.decontaminating_suites() == []


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ("Summarize {{this}}:\n{code}", "{code}"),
        ("{a:strip} and {b[0]:strip:c[java]}", "{a:strip}\n{b[0]:strip:c[java]}"),
        ("no field", "no field"),
    ],
)
def test_fields_stay_with_their_filters(template: str, fields: str) -> None:
    assert without_wording(template) == fields


def test_a_prompts_wording_is_no_business_of_what_is_held_out(demo: dict[str, Any]) -> None:
    before = study_of(demo)
    demo["tasks"]["codesum"] |= {"prompt": "What is this?\n{code}", "system": "Be brief."}
    demo["suites"]["functions"]["prompt"] = "Write it:\n{problem}"
    worded = study_of(demo)
    demo["tasks"]["codesum"]["prompt"] = "What is this?\n{code:strip}"
    other = study_of(demo)
    for suite in ("summaries", "functions"):
        assert worded.hold_out_settings(suite) == before.hold_out_settings(suite)
        assert worded.suite_settings("summaries") != before.suite_settings("summaries")
    assert other.hold_out_settings("summaries") != before.hold_out_settings("summaries")
