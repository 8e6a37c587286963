"""Names of checkpoints, weights and seeds, and what no wording of a prompt changes."""

from typing import Any

import pytest

from fixtures.studies import shipped, study_of
from mixmerge.config.load import parse_config
from mixmerge.study.graph import task_weights, variants, weight_label
from mixmerge.study.plan import Study, without_wording


@pytest.fixture
def demo() -> dict[str, Any]:
    return shipped()


def test_demo_has_the_papers_shape(demo: dict[str, Any]) -> None:
    study = study_of(demo)
    names = list(study.variants["qwen2-small"])
    assert names[:8] == [
        "base",
        *(f"sft-{task}-p{p}" for task in ("codegen", "codesum") for p in (25, 50, 100)),
        "mix-p100",
    ]
    assert names[8:11] == ["linear-w0.3", "linear-w0.5", "linear-w0.7"]
    assert len(study.checkpoints()) == 2 * (1 + 6 + 1 + 12)
    assert len(study.checkpoints("sft", "mix")) == 14
    assert len(study.checkpoints("merge")) == 24


def test_weights_are_spelt_out_without_float_noise() -> None:
    assert task_weights(0.9, ["a", "b"]) == {"a": 0.9, "b": 0.1}
    assert task_weights({"b": 1, "a": 0}, ["a", "b"]) == {"a": 0.0, "b": 1.0}


@pytest.mark.parametrize(
    ("weights", "label"),
    [
        ({"a": 0.3, "b": 0.7}, "w0.3"),
        ({"a": 0.3, "b": 0.3}, "w0.3-0.3"),
        ({"a": 0.2, "b": 0.3, "c": 0.5}, "w0.2-0.3-0.5"),
        ({"a": 1.0, "b": 0.0}, "w1"),
    ],
)
def test_labels_tell_weights_apart(weights: dict[str, float], label: str) -> None:
    assert weight_label(weights) == label


def test_three_tasks_take_a_weight_each(demo: dict[str, Any]) -> None:
    demo["tasks"]["third"] = dict(demo["tasks"]["codesum"])
    demo["suites"]["third"] = demo["suites"]["summaries"] | {"task": "third"}
    demo["suites"]["third-validation"] = demo["suites"]["third"] | {"role": "validation"}
    weights = {"codegen": 0.2, "codesum": 0.3, "third": 0.5}
    demo["strategies"] = {
        "ties": demo["strategies"]["ties"] | {"ratios": [weights]},
        "karcher": {"method": "karcher"},
    }
    config = parse_config(demo, "three")
    merges = [v for v in variants(config, "qwen2-small") if v.kind == "merge"]
    assert [(v.name, v.weights) for v in merges] == [
        ("ties-w0.2-0.3-0.5", weights),
        ("karcher", None),
    ]
    settings = Study(config).recipe_settings("qwen2-small", "ties-w0.2-0.3-0.5")
    assert list(settings["specialists"]) == ["codegen", "codesum", "third"]


def test_a_model_may_ask_for_fewer_merges(demo: dict[str, Any]) -> None:
    demo["models"]["qwen2-small"]["strategies"] = {"dare": [0.3]}
    demo["models"]["qwen2-small"]["data_scale"] = [100]
    config = parse_config(demo, "demo")
    names = [v.name for v in variants(config, "qwen2-small")]
    assert names == ["base", "sft-codegen-p100", "sft-codesum-p100", "mix-p100", "dare-w0.3"]


def test_seeds_differ_by_node_and_a_sweep_shares_its_masks(demo: dict[str, Any]) -> None:
    study = study_of(demo)
    assert study.seed("sft", "a", "b") != study.seed("sft", "a", "c")
    assert study.merge_seed("qwen2-small", "dare-w0.3") == study.merge_seed(
        "qwen2-small", "dare-w0.7"
    )
    assert study.merge_seed("qwen2-small", "dare-w0.3") != study.merge_seed(
        "llama-small", "dare-w0.3"
    )


def test_the_papers_grid() -> None:
    study = study_of(shipped("config"))
    assert len(study.checkpoints("sft", "mix")) == 31
    assert len(study.checkpoints("merge")) == 145
    assert len(study.checkpoints()) == 181
    assert len(study.checkpoints("sft", "mix", "merge")) == 176


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ("Summarize {{this}}:\n{code}", "{code}"),
        ("{a:strip} and {b[0]:strip:c[java]}", "{a:strip}\n{b[0]:strip:c[java]}"),
        ("no field", "no field"),
        ("{unbalanced", "{unbalanced"),
    ],
)
def test_fields_stay_with_their_filters(template: str, fields: str) -> None:
    assert without_wording(template) == fields


def test_a_prompts_wording_is_no_business_of_what_is_held_out() -> None:
    config = shipped()
    before = study_of(config)
    config["tasks"]["codesum"] |= {"prompt": "What is this?\n{code}", "system": "Be brief."}
    worded = study_of(config)
    config["tasks"]["codesum"]["prompt"] = "What is this?\n{code:strip}"
    other = study_of(config)
    for suite in ("summaries", "functions"):
        assert worded.hold_out_settings(suite) == before.hold_out_settings(suite)
        assert worded.suite_settings("summaries") != before.suite_settings("summaries")
    assert other.hold_out_settings("summaries") != before.hold_out_settings("summaries")
