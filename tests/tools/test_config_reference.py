"""The config schema and reference page: in step with its sections, true of what is shipped."""

import json
from pathlib import Path

import jsonschema
import pytest

import config_reference as reference
from fixtures.studies import shipped
from mixmerge.config.load import load_config


def test_schema_and_reference_page_are_in_step() -> None:
    hint = "run `make docs`"
    assert reference.SCHEMA.read_text(encoding="utf-8") == reference.schema(), hint
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), hint


def test_every_field_is_documented() -> None:
    for line in reference.page().splitlines():
        if line.startswith("| `") and "| `kind` |" not in line:
            assert line.split("|")[-2].strip(), f"no docstring: {line}"


@pytest.mark.parametrize("name", ["demo.yaml", "config.yaml", "smollm2.yaml"])
def test_shipped_configs_are_valid_for_both_checks(root: Path, name: str) -> None:
    path = root / "config" / name
    load_config(path)
    schema = json.loads(reference.SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(shipped(path.stem), schema)
