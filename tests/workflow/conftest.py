"""A shrunken study, run once through the real rules; every test here reads or changes copies."""

from typing import Any

import pytest
import yaml

from fixtures.workspace import ROOT, Workspace, shrink


@pytest.fixture(scope="session")
def demo_config() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def shrunken(demo_config: dict[str, Any]) -> dict[str, Any]:
    return shrink(demo_config)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, shrunken: dict[str, Any]) -> Workspace:
    """The shrunken study, run to its end. Treat as read-only; change a copy."""
    workspace = Workspace(tmp_path_factory.mktemp("study"))
    workspace.write_config(shrunken)
    result = workspace.snakemake("all")
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    return workspace
