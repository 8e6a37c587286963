from pathlib import Path
from typing import Any

import pytest
import yaml

from mixmerge.config.load import load_config, parse_config
from mixmerge.study.graph import task_weights, variants, weight_label
from mixmerge.study.plan import Study


@pytest.fixture
def demo(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "config/demo.yaml").read_text(encoding="utf-8"))


def test_demo_has_the_papers_shape(demo: dict[str, Any]) -> None:
    study = Study(parse_config(demo, "demo"))
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
    study = Study(parse_config(demo, "demo"))
    assert study.seed("sft", "a", "b") != study.seed("sft", "a", "c")
    assert study.merge_seed("qwen2-small", "dare-w0.3") == study.merge_seed(
        "qwen2-small", "dare-w0.7"
    )
    assert study.merge_seed("qwen2-small", "dare-w0.3") != study.merge_seed(
        "llama-small", "dare-w0.3"
    )


def test_the_papers_grid(root: Path) -> None:
    study = Study(load_config(root / "config/config.yaml"))
    assert len(study.checkpoints("sft", "mix")) == 31
    assert len(study.checkpoints("merge")) == 145
    assert len(study.checkpoints()) == 181
    assert len(study.checkpoints("sft", "mix", "merge")) == 176
