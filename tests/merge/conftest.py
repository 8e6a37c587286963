"""Fixtures of the merge tests: a family of tiny checkpoints with a recipe."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures import checkpoints as material
from mixmerge.merge.recipe import render_recipe
from mixmerge.merge.settings import RecipeSettings


@pytest.fixture(scope="session")
def write_recipe() -> Callable[..., Path]:
    """Writes a recipe of the specialists a and b beside them; keywords are its settings."""

    def write(root: Path, name: str = "r", **settings: Any) -> Path:
        defaults: dict[str, Any] = {
            "method": "linear",
            "weights": {"one": 0.5, "two": 0.5},
            "base": str(root / "base"),
            "specialists": {"one": str(root / "a"), "two": str(root / "b")},
        }
        path = root / f"{name}.yaml"
        path.write_text(render_recipe(RecipeSettings.model_validate({**defaults, **settings})))
        return path

    return write


@pytest.fixture
def study(tmp_path: Path, write_recipe: Callable[..., Path]) -> Path:
    """Directory with base, specialists a and b, and the recipe ``r.yaml`` of their mean."""
    root = material.family_of_checkpoints(tmp_path / "m", "llama", 2, shards=2)
    write_recipe(root)
    return root
