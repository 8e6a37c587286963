"""Reading a configuration: mistakes that are named with their field, and overrides."""

from pathlib import Path
from typing import Any

import pytest

from fixtures.studies import changed, shipped
from mixmerge.config.load import load_config, parse_config, read_yaml
from mixmerge.core.errors import UserError


def refused(data: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        parse_config(data, "my.yaml")
    return str(caught.value)


@pytest.fixture
def demo() -> dict[str, Any]:
    return shipped()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("modles", 1, "my.yaml: unknown key 'modles'; did you mean 'models'?"),
        ("sft/learning_rat", 1, "my.yaml: sft: unknown key 'learning_rat'; did you mean"),
        (
            "models/qwen2-small/model/hiden_size",
            1,
            "models.qwen2-small.model: unknown key 'hiden_size'; did you mean 'hidden_size'?",
        ),
        ("models/qwen2-small/stf", 1, "models.qwen2-small: unknown key 'stf'; did you mean 'sft'?"),
        ("suites/functions/titel", 1, "my.yaml: suites.functions: unknown key 'titel'"),
        ("models/qwen2-small/strategies", {"dair": [0.3]}, "unknown strategy 'dair'; did you mean"),
        ("hardware/sft_hours", {"smal": 4}, "hardware.sft_hours: no model is of size 'smal'"),
        ("merging/keep", "some", "merging.keep: "),
        ("storage", "lab", "my.yaml: storage: 'lab' is no bucket; write s3://bucket"),
        ("storage", "gs://lab", "'gs://lab' is no bucket"),
        ("storage", "s3://", "write s3://bucket or s3://bucket/path"),
        ("storage", "s3://lab//x", "write s3://bucket or s3://bucket/path"),
        ("storage", "s3://lab/../x", "write s3://bucket or s3://bucket/path"),
        ("storage", "s3://lab/{model}", "the path of plain names"),
        (
            "strategies/ties/ratios",
            [],
            "strategies.ties: ratios: 'ties' takes weights; name at least",
        ),
        ("strategies/ties/ratios", [1.3], "strategies.ties.ratios: 1.3 is outside 0 <= w <= 1"),
        ("strategies/ties/ratios", [-0.1], "strategies.ties.ratios: -0.1 is outside 0 <= w <= 1"),
        (
            "strategies/ties/ratios",
            [{"codegen": 0.5, "codesom": 0.5}],
            "unknown task 'codesom'; did you mean 'codesum'?",
        ),
        ("strategies/ties/ratios", [{"codegen": 0.5}], "no weight for task 'codesum'"),
        ("strategies/ties/ratios", [{"codegen": 0, "codesum": 0}], "sum to 0"),
        ("strategies/ties/method", "tise", "unknown merge method 'tise'; did you mean 'ties'?"),
        (
            "strategies/linear/model_parameters",
            {"density": 0.5},
            "model_parameters.density: 'linear' has no such parameter",
        ),
        (
            "strategies/ties/model_parameters",
            {"lambda": 1.3},
            "model_parameters.lambda: 'ties' takes it under `parameters`",
        ),
        ("strategies/ties/model_parameters", {"density": 3}, "outside 0 < density <= 1"),
        ("strategies/ties/model_parameters", {"densty": 0.5}, "did you mean 'density'?"),
        (
            "tables/ablation",
            ["qwen2-smal"],
            "tables.ablation: unknown model 'qwen2-smal'; did you mean 'qwen2-small'?",
        ),
        ("figures/models", ["nobody"], "figures.models: unknown model 'nobody'"),
        ("tasks/codegen/sources", ["nowhere"], "tasks.codegen.sources: unknown source 'nowhere'"),
        ("tasks/codegen/prompt", "no field", "tasks.codegen.prompt: names no field"),
        ("tasks/codegen/prompt", "{problem", "tasks.codegen.prompt: not a template"),
        ("suites/functions/task", "codgen", "unknown task 'codgen'; did you mean 'codegen'?"),
        ("sft/batch_size", 0, "sft.batch_size: Input should be greater than 0 (found 0)"),
        ("sft/zero_stage", 4, "sft.zero_stage"),
        ("data_scale", [50], "merging.base_percent: 100 is not among the percentages [50]"),
        ("models/qwen2-small/sft_for", {"codgen": {}}, "unknown training set 'codgen'"),
        ("mixture/weights", {"codgen": 1}, "mixture.weights: unknown task 'codgen'"),
        ("embedded", None, "embedded: missing"),
        ("models/qwen2-small/sft", {"gradient_accumulation": 7}, "not divisible"),
    ],
)
def test_a_mistake_is_named_with_its_field(
    demo: dict[str, Any], path: str, value: Any, message: str
) -> None:
    assert message in refused(changed(demo, path, value))


def test_missing_validation_suite_names_the_way_out(demo: dict[str, Any]) -> None:
    del demo["suites"]["functions-validation"]
    assert "set tables.select to 'test'" in refused(demo)
    demo["tables"]["select"] = "test"
    parse_config(demo, "my.yaml")


def test_overrides_go_from_study_to_model_to_training_set(demo: dict[str, Any]) -> None:
    demo["sft"] |= {"learning_rate": 1.0, "epochs": 3}
    demo["models"]["qwen2-small"]["sft"] = {"learning_rate": 2.0, "zero_stage": None}
    demo["models"]["qwen2-small"]["sft_for"] = {"codesum": {"learning_rate": 3.0}}
    config = parse_config(demo, "my.yaml")
    assert config.sft_settings("qwen2-small", "codesum").learning_rate == 3.0
    mix = config.sft_settings("qwen2-small", "mix")
    assert (mix.learning_rate, mix.epochs, mix.zero_stage) == (2.0, 3, None)
    other = config.sft_settings("llama-small", "codesum")
    assert (other.learning_rate, other.zero_stage) == (1.0, demo["sft"]["zero_stage"])


def test_invalid_yaml_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    with pytest.raises(UserError, match="file not found"):
        load_config(path)
    path.write_text("a: [1,\nb: 2")
    with pytest.raises(UserError, match=r"broken.yaml:2:5: not valid YAML"):
        load_config(path)
    path.write_text("- a")
    with pytest.raises(UserError, match="expected a mapping of sections, found list"):
        load_config(path)


@pytest.mark.parametrize("bucket", ["s3://lab", "s3://lab/", "s3://lab/some/path", "s3://a.b/c/"])
def test_buckets_are_taken_without_a_slash_at_the_end(demo: dict[str, Any], bucket: str) -> None:
    assert parse_config(demo | {"storage": bucket}, "x").storage == bucket.rstrip("/")


def test_a_mapping_that_merges_another_may_be_named_again(tmp_path: Path) -> None:
    """Its merged keys stand in it twice once YAML has read it; that is no mistake of the file."""
    file = tmp_path / "study.yaml"
    file.write_text("a: &a {k: 1}\nb: &b {<<: *a, k: 2}\nc: *b\n")
    assert read_yaml(file) == {"a": {"k": 1}, "b": {"k": 2}, "c": {"k": 2}}
