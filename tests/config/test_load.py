"""Reading a configuration: mistakes that are named with their field, and overrides."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.studies import changed, shipped
from mixmerge.config.load import load_config, parse_config, read_yaml
from mixmerge.core.errors import UserError

REFUSALS = yaml.safe_load(Path(__file__).with_name("refusals.yaml").read_text(encoding="utf-8"))


def refused(data: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        parse_config(data, "my.yaml")
    return str(caught.value)


@pytest.fixture
def demo() -> dict[str, Any]:
    return shipped()


@pytest.mark.parametrize(("path", "value", "message"), REFUSALS["fields"])
def test_a_mistake_is_named_with_its_field(
    demo: dict[str, Any], path: str, value: Any, message: str
) -> None:
    assert message in refused(changed(demo, path, value))


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
    with pytest.raises(UserError, match="expected a section"):
        load_config(path)


@pytest.mark.parametrize("bucket", ["s3://lab", "s3://lab/", "s3://lab/some/path", "s3://a.b/c/"])
def test_buckets_are_taken_without_a_slash_at_the_end(demo: dict[str, Any], bucket: str) -> None:
    assert parse_config(demo | {"storage": bucket}, "x").storage == bucket.rstrip("/")


def test_a_mapping_that_merges_another_may_be_named_again(tmp_path: Path) -> None:
    """Its merged keys stand in it twice once YAML has read it; that is no mistake of the file."""
    file = tmp_path / "study.yaml"
    file.write_text("a: &a {k: 1}\nb: &b {<<: *a, k: 2}\nc: *b\n")
    assert read_yaml(file) == {"a": {"k": 1}, "b": {"k": 2}, "c": {"k": 2}}
