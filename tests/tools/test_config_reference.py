"""The config schema, reference page and limits: in step with the code, true of what is shipped."""

import json
from pathlib import Path

import jsonschema
import pytest

from fixtures.forks import run_script
from fixtures.studies import shipped
from mixmerge.config.load import load_config

SCHEMA, PAGE = "config/schema.json", "docs/reference-config.md"


def test_schema_limits_and_reference_page_are_in_step(root: Path, tmp_path: Path) -> None:
    done = run_script(root / "tools/config_reference.py", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in (SCHEMA, PAGE, "docs/security.md"):
        assert (root / name).read_text() == (tmp_path / name).read_text(), "run `make docs`"


def test_every_field_is_documented(root: Path) -> None:
    for line in (root / PAGE).read_text(encoding="utf-8").splitlines():
        if line.startswith("| `") and "| `kind` |" not in line:
            assert line.split("|")[-2].strip(), f"no docstring: {line}"


@pytest.mark.parametrize("name", ["demo.yaml", "config.yaml", "smollm2.yaml"])
def test_shipped_configs_are_valid_for_both_checks(root: Path, name: str) -> None:
    path = root / "config" / name
    load_config(path)
    schema = json.loads((root / SCHEMA).read_text(encoding="utf-8"))
    jsonschema.validate(shipped(path.stem), schema)
